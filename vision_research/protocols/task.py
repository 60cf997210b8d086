"""The protocol of a task: what is learnt and scored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from vision_research.config.command_schema import TestCommand
from vision_research.config.schema import DataConfig, DataKind
from vision_research.config.traits import DetectorTraits
from vision_research.datasets.annotation_format import SplitFiles
from vision_research.datasets.facts import DatasetFacts
from vision_research.protocols.feed import Feed
from vision_research.protocols.part import LoweringInputs, LoweringRun, RunConfig, RunPart


@dataclass(frozen=True)
class MetricInfo:
    """Facts about the metric of an evaluator.

    Attributes:
        monitor: the value by which the best checkpoint is chosen, as MMEngine names it (`coco/bbox_mAP`).
        subject: what is scored, for messages; empty for boxes and masks, on which exported models are scored too.
    """

    monitor: str
    subject: str = ""


class Results(Protocol):
    """Collects the results of a detector during an evaluation, and writes them to a file."""

    def take(self, sample: Any) -> None:
        """Add the `DetDataSample` of one image."""

    def write(self) -> str:
        """Write the file, and return one line about it."""


class Task(RunPart):
    """What is learnt and scored. Exactly one task claims a run.

    Attributes:
        kinds: kinds of data that only this task reads.
        metrics: facts about MMEngine metrics by type; the first type is that of the task's own evaluator. A metric with
            several modes has an entry for each (`CocoMetric:proposal`).
    """

    kinds: ClassVar[frozenset[DataKind]] = frozenset()
    metrics: ClassVar[Mapping[str, MetricInfo]] = {}

    def monitor(self, traits: DetectorTraits, data: DataConfig) -> str:
        """Return the metric by which the best checkpoint is chosen; `auto` is the first one of the evaluator.

        Args:
            traits: of the detector.
            data: the `data` group.
        """
        return next(iter(self.metrics.values())).monitor

    def fed_steps(self, data: DataConfig) -> frozenset[str]:
        """Return the transforms among all `needs` for which the data is sufficient."""
        return frozenset(self.needs) if data.kind in self.kinds else frozenset()

    @abstractmethod
    def look(self, data: DataConfig, splits: Sequence[str], more: Sequence[SplitFiles] = ()) -> DatasetFacts:
        """Read and check the annotation files.

        Args:
            data: the `data` group.
            splits: `train`, `val` or `test`, those to read; a missing test split is left out.
            more: files of feeds.

        Raises:
            ConfigError: all problems, each with the key and what to type.
        """

    def unfit(self, run: RunConfig, facts: DatasetFacts) -> Iterator[str]:
        """Name what the files lack for a run, each with what to type.

        Args:
            run: the run.
            facts: about its files.
        """
        return iter(())

    @abstractmethod
    def set_classes(self, model: dict[str, Any], inputs: LoweringInputs) -> None:
        """Set the classes of the data in a detector, in place.

        Args:
            model: the lowered detector.
            inputs: names of the classes.

        Raises:
            ConfigError: the detector has no class count, or one of unknown meaning.
        """

    @abstractmethod
    def loader(
        self, run: LoweringRun, split: str, template: Mapping[str, Any], feeds: Sequence[Feed]
    ) -> dict[str, Any] | None:
        """Return the loader of a split with its data set and sampler; None for a missing split.

        Args:
            run: the run.
            split: `train`, `val` or `test`.
            template: wrappers and pipelines with a place for each data set (`config.dataset_tree`).
            feeds: of the run.
        """

    @abstractmethod
    def evaluator(self, run: RunConfig, split: str) -> Any:
        """Return the evaluator of a split.

        Args:
            run: the run.
            split: `val` or `test`.
        """

    def check_classes(self, trained: Sequence[str], facts: DatasetFacts, key: str) -> None:
        """Check that data has the classes of a trained detector.

        Args:
            trained: classes of the detector, in the order of its labels.
            facts: about the data.
            key: key and value of its annotation file, for the message.

        Raises:
            ConfigError: the classes differ.
        """
        return

    def results(self, command: TestCommand, subject: str | None) -> Results | None:
        """Return the writer of a result file that the `test` command requests, or None.

        Args:
            command: configuration of the command.
            subject: what the detector is scored on; None for boxes and masks.

        Raises:
            ConfigError: the detector does not give such results, or the file cannot be written.
        """
        return None
