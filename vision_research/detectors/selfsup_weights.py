"""Extracts self-supervised backbones from the files that their authors published.

MMDetection's `selfsup_pretrain` configs name files in the current folder, which have to be downloaded and converted.
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
        address: of the file.
        prefix: of the names of the backbone's weights in it.
    """

    address: str
    prefix: str


# By the file names in MMDetection's configs.
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
    """Return the published file for such a name; None for other names, and if the named file exists."""
    return None if Path(source).is_file() else SELF_SUPERVISED.get(Path(source).name)


def write_backbone(published: SelfSupervised, file: Path) -> Path:
    """Write the backbone of a published file to a file beside it, unless that exists; return its path.

    Args:
        published: which weights are the backbone.
        file: the downloaded file.

    Raises:
        pickle.UnpicklingError: the file contains more than tensors and plain values.
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
