"""The common base class of tasks and feeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vision_research.config.schema import DataConfig, TrainConfig
from vision_research.config.traits import DetectorTraits
from vision_research.datasets.digits.maker import EmbeddedDataset


@dataclass(frozen=True)
class RunConfig:
    """The configuration of a run.

    Attributes:
        config: the typed tree.
        traits: of its detector.
    """

    config: TrainConfig
    traits: DetectorTraits

    @property
    def data(self) -> DataConfig:
        """The `data` group."""
        return self.config.data


@dataclass(frozen=True)
class DataFile:
    """One file of a data set, and the images that it lists.

    Attributes:
        key: config key of the file, for messages (`data.train_ann`).
        path: relative to `data.root`.
        folder: of the images, relative to `data.root`.
        images: takes the content of the file, returns the names of the images in that folder; None if it lists none.
            It raises ValueError, KeyError or TypeError for a file of another format.
    """

    key: str
    path: str
    folder: str = ""
    images: Callable[[bytes], Iterable[str]] | None = None


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
