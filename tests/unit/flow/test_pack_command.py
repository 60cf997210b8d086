"""`pack` takes every file of a data set along: annotations, images, maps, lists of unlabelled images and proposals."""

from __future__ import annotations

from pathlib import Path

import mmengine.fileio as fileio
import numpy as np
import pytest

from vision_research.config.command_schema import PackCommand
from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataConfig, DataKind, StorageConfig
from vision_research.datasets.proposals import Proposals, read_proposals, write_proposals
from vision_research.flow.pack import pack
from vision_research.registry import make_embedded
from vision_research.storage.s3.backend import S3Backend
from vision_research.storage.s3.settings import S3Settings


def data_of(kind: DataKind, root: Path, **keys: str) -> DataConfig:
    return DataConfig(kind, str(root), "annotations/train.json", "annotations/val.json", img_prefix="images/", **keys)


@pytest.mark.slow
def test_maps_and_proposals_are_packed(bucket: str, s3_settings: S3Settings, tmp_path: Path) -> None:
    root = make_embedded("digits_panoptic", tmp_path / "maps", train=3, val=2, test=1)
    write_proposals(root / "proposals.npz", {1: Proposals("1.jpg", np.zeros((1, 4), "f4"), np.ones(1, "f4"))})
    maps = {"train_panoptic": "annotations/panoptic_train.json", "val_panoptic": "annotations/panoptic_val.json"}
    data = data_of(DataKind.digits_panoptic, root, **maps, train_proposals="proposals.npz")
    storage = StorageConfig(endpoint_url=s3_settings.endpoint_url, cache_dir=None)

    pack(PackCommand(data, storage, f"{bucket}/packed"))

    reading = S3Backend(endpoint_url=s3_settings.endpoint_url, packed=True, cache_dir=str(tmp_path / "cache"))
    for folder, count in (("images", 5), ("annotations/panoptic_train", 3), ("annotations/panoptic_val", 2)):
        files = [file for file in sorted((root / folder).rglob("*.*g")) if "test" not in file.parts]
        assert len(files) == count
        assert all(reading.get(f"{bucket}/packed/{file.relative_to(root)}") == file.read_bytes() for file in files)
    for name in ("annotations/train.json", *maps.values()):
        assert fileio.get(f"{bucket}/packed/{name}") == (root / name).read_bytes()
    assert list(read_proposals(fileio.get(f"{bucket}/packed/proposals.npz"))) == [1]


def test_what_lists_no_images_is_refused(tmp_path: Path) -> None:
    root = make_embedded("digits_reid", tmp_path / "crops", train=2, val=1)
    data = DataConfig(DataKind.digits_reid, str(root), "annotations/train.txt", "annotations/val.txt")
    with pytest.raises(ConfigError, match="data=digits_reid: only COCO annotations are packed"):
        pack(PackCommand(data, StorageConfig(), "s3://bucket/packed"))
