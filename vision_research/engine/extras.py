"""Packages that some parts of a config need beyond the project's own, and what to type where one is absent."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from vision_research.config.needs import steps


@dataclass(frozen=True)
class Extra:
    """A package that is not installed with the project.

    Attributes:
        name: of the types that need it; one that ends in a dot is the scope of many (`mmpretrain.ConvNeXt`).
        modules: what has to be importable.
        remedy: what to type.
    """

    name: str
    modules: tuple[str, ...]
    remedy: str


TRACKING = "python -m pip install 'vision-research[tracking]'"
EXTRAS = (
    # Its own requirements would put a second OpenCV over the one that is there.
    Extra(
        "Albu",
        ("albumentations",),
        "python -m pip install scikit-image && python -m pip install --no-deps albumentations==1.4.4",
    ),
    Extra("MOTChallengeMetric", ("trackeval",), TRACKING),
    Extra("ByteTracker", ("lap",), TRACKING),
    Extra("OCSORTTracker", ("lap",), TRACKING),
    Extra("SORTTracker", ("motmetrics",), TRACKING),
    Extra("StrongSORTTracker", ("motmetrics",), TRACKING),
    # MMPretrain imports torchvision without asking for it.
    Extra("mmpretrain.", ("mmpretrain", "torchvision"), "python -m pip install 'vision-research[mmpretrain]'"),
)


def missing_extras(config: dict[str, Any]) -> list[str]:
    """Name every type of a lowered config whose package is not installed, with what to type."""
    found = [(path, step["type"]) for key, part in config.items() for path, step in steps(part, key)]
    return [
        f"{path}.type={kind}: needs {' and '.join(absent)}, which is not installed. Type {extra.remedy}"
        for path, kind in found
        for extra in EXTRAS
        if (kind.startswith(extra.name) if extra.name.endswith(".") else kind.rpartition(".")[2] == extra.name)
        and (absent := [module for module in extra.modules if find_spec(module) is None])
    ]
