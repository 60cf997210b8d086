"""Names that MMPretrain takes from torchvision while it loads, for a machine where torchvision itself does not load.

Its wheels fit one build of torch, and the one on PyPI is no build for the CPU. No detector computes with any of these.
"""

from __future__ import annotations

import importlib
import sys
from enum import Enum
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

MODULES = ("", ".ops", ".ops.boxes", ".transforms", ".transforms.functional", ".transforms.transforms")


class InterpolationMode(Enum):
    """Read as a default."""

    BILINEAR = "bilinear"


class RandomResizedCrop:
    """Taken as a base class."""


def put_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import torchvision, or put the names where it would be until the test is over."""
    try:
        importlib.import_module("torchvision")
    except Exception:
        for name in MODULES:
            module = ModuleType(f"torchvision{name}")
            module.__spec__ = ModuleSpec(module.__name__, None)
            vars(module).update(InterpolationMode=InterpolationMode, RandomResizedCrop=RandomResizedCrop)
            monkeypatch.setitem(sys.modules, module.__name__, module)
        for name in reversed(MODULES[1:]):
            parent, _, child = f"torchvision{name}".rpartition(".")
            setattr(sys.modules[parent], child, sys.modules[f"{parent}.{child}"])
