"""Writes a `.pt2`: torch's own exported program, which `torch.export.load` reads where there is torch alone."""

from __future__ import annotations

from pathlib import Path

import torch

from vision_research.deploy.formats.graph import export_program
from vision_research.deploy.formats.job import Job
from vision_research.ops.looped import LoopedNms, LoopedRoiPooling, LoopedSoftNms
from vision_research.ops.nms import BatchedNms
from vision_research.ops.roi_align import RoiPooling
from vision_research.ops.soft_nms import BatchedSoftNms


def write(job: Job, path: Path) -> None:
    """Write the file.

    Args:
        job: what to write.
        path: the file.

    Raises:
        ExportError: torch.export cannot trace the detector.
    """
    program = export_program(job, {BatchedNms: LoopedNms, BatchedSoftNms: LoopedSoftNms, RoiPooling: LoopedRoiPooling})
    torch.export.save(program, str(path))
