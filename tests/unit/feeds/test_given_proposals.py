"""Proposals that were computed before: who reads them, and what is refused before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_research.checks.validation import validate
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify

Compose = Callable[..., TrainConfig]
FAST = "zoo/fast_rcnn/fast-rcnn_r50_fpn_1x_coco"
DATA = ("data=coco", "data.root=/d", "data.train_ann=t.json", "data.val_ann=v.json", "model.weights=none")
FILES = ("data.train_proposals=t.npz", "data.val_proposals=sub/v.npz")


def lowered(typed: Compose, *words: str) -> dict[str, Any]:
    config = typed("schedule=1x", *DATA, *words)
    validate(specify(config))
    return lower(specify(config), LoweringInputs(Path("/runs/x"), ("a", "b"), num_train=8))


def test_every_split_reads_its_file(typed: Compose) -> None:
    tree = lowered(typed, f"model={FAST}", f"aug={FAST}", *FILES)
    datasets = {split: tree[f"{split}_dataloader"]["dataset"] for split in ("train", "val", "test")}
    assert {one["type"] for one in datasets.values()} == {"ProposalDataset"}
    files = {split: one["proposal_file"] for split, one in datasets.items()}
    assert files == {"train": "/d/t.npz", "val": "/d/sub/v.npz", "test": "/d/sub/v.npz"}
    kinds = [step["type"] for step in datasets["train"]["pipeline"]]
    assert kinds == ["LoadImageOrSkip", "LoadProposals", "LoadAnnotations", "ProposalBroadcaster", "PackDetInputs"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((f"model={FAST}", f"aug={FAST}"), "data.train_proposals is not set: .* proposals=FILE.npz writes such a file"),
        ((f"model={FAST}", "aug=flip", *FILES), f"the pipelines of this aug load no proposals. Type aug={FAST}"),
        (
            (f"model={FAST}", f"aug={FAST}", FILES[0], "data.val_proposals=v.pkl"),
            "data.val_proposals=v.pkl: is no .npz",
        ),
        (("model=faster_rcnn", "aug=flip", *FILES), "data.train_proposals=t.npz: model=FasterRCNN makes its own"),
        ((f"model={FAST}", f"aug={FAST}", "data=voc", *FILES), "identified by COCO's image ids. Type data=coco"),
    ],
)
def test_what_does_not_go_together_is_refused(typed: Compose, words: tuple[str, ...], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        lowered(typed, *words)
