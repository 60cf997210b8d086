"""One file of every family: the experiment, lowered, is what the file says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zoo_parity as parity

Lower = Callable[..., dict[str, Any]]
RCNN = "zoo/faster_rcnn/faster-rcnn_r50_fpn_1x_coco"
# The quick round compares these alone.
QUICK = (
    "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
    "mask_rcnn/mask-rcnn_r50_fpn_1x_coco",
    "yolox/yolox_l_8xb8-300e_coco",
)
SAMPLE = (Path(__file__).parent / "zoo_sample.txt").read_text().split()


def test_differences_tell_lists_from_tuples_and_what_is_missing() -> None:
    wanted = {"a": (1, 2), "b": {"c": 1}, "work_dir": "x"}
    assert list(parity.differences(wanted, {"a": [1, 2], "b": {"d": 1}})) == [
        "a: (1, 2) in the file, [1, 2] here",
        "b.c: is missing",
        "b.d: is not in the file",
    ]


@pytest.mark.slow
def test_what_is_typed_is_laid_over_the_file_and_nothing_else_changes(lowered: Lower) -> None:
    plain = lowered(f"experiment={RCNN}")
    typed_over = lowered(f"experiment={RCNN}", "schedule.lr=0.005", "data.batch_size=4", "data.root=/d")
    assert typed_over["optim_wrapper"]["optimizer"]["lr"] == 0.005
    loader = typed_over["train_dataloader"]
    assert (loader["batch_size"], loader["dataset"]["data_root"]) == (4, "/d/")
    assert typed_over["val_evaluator"]["ann_file"] == "/d/annotations/instances_val2017.json"
    changed = list(parity.differences(plain, typed_over))
    assert len(changed) == 7, changed  # those, and data_root and ann_file of validation and test


def test_the_sample_has_every_family_that_trains() -> None:
    results = Path(__file__).parents[3] / "benchmarks" / "results" / "zoo" / "parity.json"
    trainable = json.loads(results.read_text())["configs"]
    assert {name.partition("/")[0] for name in SAMPLE} == {name.partition("/")[0] for name in trainable}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SAMPLE]
)
@pytest.mark.usefixtures("in_conf")
def test_an_experiment_is_what_its_file_says(name: str) -> None:
    assert parity.compare(name) == []
