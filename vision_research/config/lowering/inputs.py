"""What lowering needs to know of the world, found out before it, so that it stays a pure function."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LoweringInputs:
    """Facts about the data, the machine and the folder of the run.

    Attributes:
        work_dir: absolute folder of the run.
        classes: names, in the order of the labels.
        num_train: training images that are left after filtering and `data.limit_train`, before repeats.
        world_size: ranks over all machines.
        on_gpu: whether ranks compute on GPUs.
        masks: how the training annotations have masks: `polygons`, `rle`, or `none`.
        stuff: names of the classes of a panoptic map that are no things, in the order of the labels behind those.
    """

    work_dir: Path
    classes: tuple[str, ...]
    num_train: int
    world_size: int = 1
    on_gpu: bool = False
    masks: str = "none"
    stuff: tuple[str, ...] = ()

    def iters_per_epoch(self, batch_size: int, repeat: int = 1) -> int:
        """Return the number of batches that each rank sees in an epoch."""
        per_rank = -(-self.num_train * repeat // self.world_size)
        return max(1, -(-per_rank // batch_size))
