"""The inputs of the lowering beside the configuration; they are determined before, so that lowering is pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vision_research.config.schema import DataConfig
from vision_research.datasets.facts import DatasetFacts
from vision_research.protocols.part import RunConfig


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
