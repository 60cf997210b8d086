"""The protocol of a feed: an additional input of a detector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from vision_research.config.schema import DataConfig
from vision_research.config.traits import DetectorTraits
from vision_research.datasets.annotation_format import SplitFiles
from vision_research.datasets.facts import DatasetFacts
from vision_research.protocols.part import LoweringRun, RunConfig, RunPart, Step


class Feed(RunPart):
    """An input of a detector beside the images and objects of its task. A run has any number of feeds.

    Methods that take a run are called for the runs that the feed is part of, except `problems`. Methods that take a
    lowered config are called for every run.

    Attributes:
        validation_loop: type of the validation loop of a detector with this feed.
    """

    validation_loop: ClassVar[str] = "ValLoop"

    def monitor(self, traits: DetectorTraits, monitor: str) -> str:
        """Return the metric by which the best checkpoint is chosen.

        Args:
            traits: of the detector.
            monitor: the metric without this feed.
        """
        return monitor

    def subject(self, traits: DetectorTraits) -> str:
        """Return what a detector with this feed is scored on, if exported models cannot be; otherwise an empty text."""
        return ""

    def splits(self, data: DataConfig) -> tuple[SplitFiles, ...]:
        """List annotation files that are checked in addition to those of the task."""
        return ()

    def look(self, data: DataConfig, facts: DatasetFacts) -> DatasetFacts:
        """Check further files, and add their content to the facts.

        Args:
            data: the `data` group.
            facts: of the task's files.

        Raises:
            ConfigError: all problems, each with the key and what to type.
        """
        return facts

    def pipeline(self, pipeline: list[Step], run: RunConfig) -> list[Step]:
        """Return a pipeline that also loads and packs this feed.

        Args:
            pipeline: from loading to packing.
            run: the run.
        """
        return pipeline

    def datasets(self, datasets: list[dict[str, Any]], run: LoweringRun, split: str) -> list[dict[str, Any]]:
        """Return the data sets of a split with this feed: changed, or with additional ones.

        Args:
            datasets: without their pipelines.
            run: the run.
            split: `train`, `val` or `test`.
        """
        return datasets

    def finish_dataset(self, dataset: dict[str, Any], run: RunConfig) -> dict[str, Any]:
        """Return the training data set, changed after its wrappers and pipelines were added.

        Args:
            dataset: with its wrappers and pipelines.
            run: the run.
        """
        return dataset

    def sampler(self, run: RunConfig) -> dict[str, Any] | None:
        """Return the training sampler; None uses that of the task."""
        return None

    def counted_per_batch(self, run: RunConfig) -> int:
        """Return how many images of a training batch count for the length of an epoch."""
        return run.data.batch_size

    def model(self, model: dict[str, Any], run: LoweringRun) -> None:
        """Change a lowered detector in place, after its classes were set.

        Args:
            model: the detector.
            run: the run.
        """
        return

    def explain_build(self, model: Mapping[str, Any], error: Exception, part: str) -> list[str]:
        """Explain why a detector could not be built, if this feed is the reason.

        Args:
            model: of the lowered config.
            error: that was raised.
            part: the part of the detector that was being built.
        """
        return []

    def unfit(self, detector: Any, lowered: Mapping[str, Any]) -> Iterator[str]:
        """Name problems of the built detector with this feed, each with what to type.

        Args:
            detector: as MMDetection built it.
            lowered: the MMEngine config.
        """
        return iter(())
