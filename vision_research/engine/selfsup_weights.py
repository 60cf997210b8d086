"""Backbones that were trained without labels: where their authors published them, and what of the file is the backbone.

MMDetection's `selfsup_pretrain` configs name files in the current folder, which a person has to download and convert.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SelfSupervised:
    """A published file.

    Attributes:
        address: where it is.
        prefix: what is before the names of the backbone's weights in it; the rest is not part of the backbone.
    """

    address: str
    prefix: str


# By the names that MMDetection's configs have for them.
SELF_SUPERVISED = {
    # MoCo v2 (arXiv:2003.04297), ResNet-50, 800 epochs.
    "mocov2_r50_800ep_pretrain.pth": SelfSupervised(
        "https://dl.fbaipublicfiles.com/moco/moco_checkpoints/moco_v2_800ep/moco_v2_800ep_pretrain.pth.tar",
        "module.encoder_q.",
    ),
    # SwAV (arXiv:2006.09882), ResNet-50, 800 epochs.
    "swav_800ep_pretrain.pth.tar": SelfSupervised(
        "https://dl.fbaipublicfiles.com/deepcluster/swav_800ep_pretrain.pth.tar", "module."
    ),
}


def self_supervised(source: str) -> SelfSupervised | None:
    """Return what a config means by such a name; None for another, and for a file that lies where the config says."""
    return None if Path(source).is_file() else SELF_SUPERVISED.get(Path(source).name)


def write_backbone(published: SelfSupervised, file: Path) -> Path:
    """Write the backbone in a published file beside it, unless it is there, and return where.

    Raises:
        pickle.UnpicklingError: the file holds more than tensors and plain values.
    """
    import torch

    backbone = file.with_name(f"backbone-of-{file.stem}.pth")
    if backbone.is_file():
        return backbone
    content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    weights = {
        name.removeprefix(published.prefix): value
        for name, value in content.get("state_dict", content).items()
        if name.startswith(published.prefix)
    }
    partial = backbone.with_suffix(f".{os.getpid()}")
    torch.save({"state_dict": weights}, partial)
    partial.replace(backbone)
    return backbone
