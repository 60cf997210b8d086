"""Writes TorchScript: one file that needs torch alone, in Python or in C++."""

from __future__ import annotations

from pathlib import Path

import torch

from vision_research.deploy.build.detector import build_exported
from vision_research.deploy.formats.job import Job


def write(job: Job, path: Path) -> None:
    """Write the file.

    Args:
        job: what to write.
        path: the file.

    Raises:
        ExportError: the detector's network holds for one input size only.
    """
    build_exported(job.detector, job.spec, torch.from_numpy(job.images[0]), job.form).save(str(path))
