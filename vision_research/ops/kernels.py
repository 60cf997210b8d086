"""torchvision's compiled operators, used on a GPU where the installed torchvision fits torch.

Only the library of kernels is loaded, not the package: importing a torchvision of another build leaves operators of it
half registered.
"""

from __future__ import annotations

import functools
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def torchvision_kernels(tensor: Tensor) -> Any | None:
    """Return the namespace of torchvision's operators if they compute with this tensor; None on a CPU.

    On a CPU plain torch is as fast or faster, and works in bfloat16.
    """
    return _load() if tensor.is_cuda else None


@functools.cache
def _load() -> Any | None:
    return torch.ops.torchvision if missing_torchvision() is None else None


@functools.cache
def missing_torchvision() -> str | None:
    """Say why torchvision's kernels cannot be used; None if they can."""
    try:
        found = distribution("torchvision")
    except PackageNotFoundError:
        return "torchvision is not installed"
    libraries = sorted(Path(str(found.locate_file("torchvision"))).glob("_C*.so"))
    if not libraries:
        return f"torchvision {found.version} has no compiled operators"
    try:
        torch.ops.load_library(str(libraries[0]))  # type: ignore[no-untyped-call]
    except OSError as error:
        return f"torchvision {found.version} was built for another torch than {torch.__version__} ({error})"
    return None
