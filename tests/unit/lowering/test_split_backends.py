"""Each split reads its images with the back end of its own address: one may be in S3, another on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_research.config.schema import TrainConfig
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify

Compose = Callable[..., TrainConfig]
LOCAL = ("data=coco", "data.root=/d", "data.train_ann=t.json", "data.val_ann=v.json", "data.test_ann=x.json")


def backends(typed: Compose, *words: str) -> dict[str, str | None]:
    """Return the name of the back end that each split reads its images with; None is the local one."""
    tree = lower(
        specify(typed(*LOCAL, "storage.prefetch=8", *words)), LoweringInputs(Path("/runs/x"), ("a",), num_train=8)
    )
    splits: dict[str, str | None] = {}
    for split in ("train", "val", "test"):
        loader: dict[str, Any] = tree[f"{split}_dataloader"]
        (read,) = (step for step in loader["dataset"]["pipeline"] if step["type"] == "LoadImageOrSkip")
        splits[split] = (read["backend_args"] or {}).get("backend")
        assert ("batch_sampler" in loader) == (splits[split] == "s3")
    return splits


@pytest.mark.slow
@pytest.mark.parametrize("aug", ["flip", "zoo/faster_rcnn/faster-rcnn_r50_fpn_1x_coco"])
def test_each_split_reads_with_its_own_back_end(typed: Compose, aug: str) -> None:
    words = (f"aug={aug}", "data.img_prefix=images/")
    assert backends(typed, *words, "data.val_prefix=s3://b/val") == {"train": None, "val": "s3", "test": None}
    assert backends(typed, *words, "data.test_prefix=s3://b/test") == {"train": None, "val": None, "test": "s3"}
    remote = (*words, "data.root=s3://b/coco", "data.test_prefix=/local/test")
    assert backends(typed, *remote) == {"train": "s3", "val": "s3", "test": None}


def test_without_a_test_split_the_test_reads_as_validation_does(typed: Compose) -> None:
    words = ("aug=flip", "data.test_ann=null", "data.val_prefix=s3://b/val", "data.test_prefix=/local")
    assert backends(typed, *words) == {"train": None, "val": "s3", "test": "s3"}
