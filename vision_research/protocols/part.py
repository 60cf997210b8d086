"""The configuration of a run, the inputs of its lowering, and the common base class of tasks and feeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vision_research.config.schema import DataConfig, TrainConfig
from vision_research.config.traits import DetectorTraits
from vision_research.config.tree import typed_dicts
from vision_research.datasets.digits.maker import EmbeddedDataset
from vision_research.datasets.facts import DatasetFacts

Step = dict[str, Any]


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

    @property
    def file_steps(self) -> Iterator[tuple[str, Step]]:
        """The training transforms of `aug=zoo/...`, each with its path."""
        return typed_dicts((self.config.aug.recipe or {}).get("train"), "aug.recipe.train")


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


@dataclass(frozen=True)
class LoweringInputs:
    """Facts about the data, the machine and the folder of the run.

    Attributes:
        work_dir: absolute folder of the run.
        classes: names, in the order of the labels.
        num_train: training images after filtering and `data.limit_train`, before repeats.
        world_size: ranks over all machines.
        on_gpu: whether ranks compute on GPUs.
        masks: format of the masks in the training annotations: `polygons`, `rle`, or `none`.
        stuff: names of the stuff classes of panoptic maps, whose labels follow those of `classes`.
    """

    work_dir: Path
    classes: tuple[str, ...]
    num_train: int
    world_size: int = 1
    on_gpu: bool = False
    masks: str = "none"
    stuff: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, data: DataConfig, facts: DatasetFacts, work_dir: Path, world_size: int = 1, on_gpu: bool = False
    ) -> LoweringInputs:
        """Collect the inputs.

        Args:
            data: the `data` group.
            facts: about its files.
            work_dir: absolute folder of the run.
            world_size: ranks over all machines.
            on_gpu: whether ranks compute on GPUs.
        """
        return cls(
            work_dir=work_dir,
            classes=facts.classes,
            num_train=min(facts.num_train, data.limit_train or facts.num_train),
            world_size=world_size,
            on_gpu=on_gpu,
            masks=facts.masks,
            stuff=facts.stuff,
        )

    def iters_per_epoch(self, batch_size: int, repeat: int = 1) -> int:
        """Return the number of batches of each rank in an epoch.

        Args:
            batch_size: images per rank and iteration.
            repeat: how often an epoch contains each image.
        """
        per_rank = -(-self.num_train * repeat // self.world_size)
        return max(1, -(-per_rank // batch_size))


@dataclass(frozen=True)
class LoweringRun(RunConfig):
    """The configuration of a run and the inputs of its lowering."""

    inputs: LoweringInputs
