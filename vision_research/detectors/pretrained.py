"""Resolves addresses of pretrained weights, and downloads the files before the ranks start.

MMDetection's `selfsup_pretrain` configs name files in the current folder, which have to be downloaded and converted:
self-supervised backbones are extracted from the files that their authors published.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlparse

from vision_research.config.addresses import is_s3
from vision_research.config.errors import EnvironmentProblem
from vision_research.storage.s3.path import as_path

logger = logging.getLogger(__name__)

HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.")
TABLES = {"torchvision": "torchvision_0.12.json", "open-mmlab": "openmmlab.json", "openmmlab": "openmmlab.json"}


def resolve_source(source: str) -> str:
    """Convert `torchvision://resnet50` and `open-mmlab://...` to the address of the file.

    MMEngine imports torchvision for the former, although it ships a table of the addresses.

    Raises:
        EnvironmentProblem: the table does not contain the name.
    """
    scheme, _, name = source.partition("://")
    if scheme not in TABLES:
        return source
    spec = find_spec("mmengine")
    assert spec is not None and spec.origin is not None
    table = json.loads((Path(spec.origin).parent / "hub" / TABLES[scheme]).read_text())
    for key in (name, name.removeprefix("models/")):
        if key in table:
            return str(table[key]["url"] if isinstance(table[key], dict) else table[key])
    raise EnvironmentProblem(f"{source}: there are no such weights. Type model.weights=none to train without")


def ensure_pretrained(source: str, typed: str) -> str:
    """Download the pretrained weights of a part of a detector.

    Args:
        source: `checkpoint` of an `init_cfg`.
        typed: the override for messages, `model.weights=backbone`.

    Returns:
        A file, or an address whose file is in torch's cache; MMEngine reads both.

    Raises:
        EnvironmentProblem: the file is missing or cannot be downloaded.
    """
    if published := self_supervised(source):
        return str(write_backbone(published, ensure_weights(published.address, typed)))
    address = resolve_source(source)
    ensure_weights(address, typed)
    return address


def ensure_weights(source: str, typed: str, without: str = "model.weights=none", timeout_s: float = 20.0) -> Path:
    """Return the file of an address; it is downloaded into torch's cache if necessary.

    Args:
        source: a path, an http(s) address or an address in S3.
        typed: the override for messages, `model.weights=backbone`.
        without: what to type to train without these weights.
        timeout_s: time without data after which the download fails.

    Raises:
        EnvironmentProblem: the file is missing or cannot be downloaded.
    """
    if is_s3(source):
        return _ensure_in_cache(source, typed, without)
    address = urlparse(source)
    if address.scheme not in ("http", "https"):
        if not Path(source).is_file():
            raise EnvironmentProblem(f"{typed}: {source} is no file. Type {without} to train without")
        return Path(source)
    import torch

    target = Path(torch.hub.get_dir()) / "checkpoints" / Path(address.path).name
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    logger.info("downloading the pretrained weights %s", source)
    found = HASH_IN_NAME.search(target.name)
    try:
        with _socket_timeout(timeout_s):
            torch.hub.download_url_to_file(source, str(target), found[1] if found else None, progress=False)
    except (OSError, RuntimeError) as error:
        raise EnvironmentProblem(
            f"{typed}: {source} cannot be downloaded ({error}). Without pretrained weights: type "
            f"{without}. With them: copy the file from a machine that has it to {target} and type it again"
        ) from error
    return target


def _ensure_in_cache(source: str, typed: str, without: str) -> Path:
    path = as_path(source)
    try:
        path.read_bytes()  # fills the disk cache, from which the ranks read
    except FileNotFoundError as error:
        raise EnvironmentProblem(f"{typed}: {error} Type {without} to train without") from error
    return path


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


class SelfSupervised(NamedTuple):
    """The address of a published file, and the prefix of the names of the backbone's weights in it."""

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
