"""Writes TorchScript: one file that needs torch alone, in Python or in C++."""

from __future__ import annotations

from pathlib import Path

import torch

from vision_research.deploy.detector import build_exported
from vision_research.deploy.formats.job import Job


def write(job: Job, path: Path) -> None:
    """Write the file; refusals are those of `build_exported`."""
    build_exported(job.detector, job.spec, torch.from_numpy(job.images[0]), job.form).save(str(path))
