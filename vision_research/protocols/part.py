"""The common base class of tasks and feeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from vision_research.config.schema import DataConfig
from vision_research.config.traits import DetectorTraits
from vision_research.datasets.digits.maker import EmbeddedDataset
from vision_research.protocols.files import DataFile
from vision_research.protocols.run_config import RunConfig

Step = dict[str, Any]


class RunPart(ABC):
    """A task or a feed.

    Attributes:
        name: of its folder.
        embedded: its data set that this project generates, or None.
        needs: transforms that need data of this part, with a description of that data for messages; runs without such
            data refuse them. A name that ends in `=` is an argument of a transform.
        modules: modules that register types with MMEngine, imported before a config is built.
    """

    name: ClassVar[str]
    embedded: ClassVar[EmbeddedDataset | None] = None
    needs: ClassVar[Mapping[str, str]] = {}
    modules: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def claims(self, traits: DetectorTraits, data: DataConfig) -> bool:
        """Return whether this is part of a run.

        Args:
            traits: of the detector.
            data: the `data` group.
        """

    def problems(self, run: RunConfig) -> Iterator[str]:
        """Name the problems of a run's configuration, each with what to type.

        It is called for every run, so that a task also reports its detectors on data of another task. It is not called
        on tasks where the data is a zoo file's own.
        """
        return iter(())

    def files(self, data: DataConfig) -> Iterator[DataFile]:
        """List the files of the data that this part reads for any detector."""
        return iter(())

    def step(self, step: Step, run: RunConfig, split: str) -> Step:
        """Return the transform that replaces a transform of a pipeline.

        Args:
            step: config of the transform.
            run: the run.
            split: `train`, `val` or `test`.
        """
        return step
