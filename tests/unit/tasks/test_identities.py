"""Re-identification: crops with identities, one output for each of them, a few compared in every step."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_research.checks.validation import validate
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.lowering import lower
from vision_research.lowering.schedule import learning_rate
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify

Compose = Callable[..., TrainConfig]
ZOO = "zoo/reid/reid_r50_8xb32-6e_mot17train80_test-mot17val20"
INPUTS = LoweringInputs(Path("/runs/x"), tuple(map(str, range(41))), num_train=300)


def lowered(typed: Compose, *words: str) -> dict[str, Any]:
    config = typed("experiment=reid", "data.root=/d", *words)
    validate(specify(config))
    return lower(specify(config), INPUTS)


def test_a_head_has_one_output_for_each_identity(typed: Compose) -> None:
    model = lowered(typed)["model"]
    assert model["head"]["num_classes"] == 41
    assert (model["backbone"]["depth"], model["head"]["in_channels"]) == (18, 512)


def test_a_step_draws_identities_and_a_validation_sees_every_crop(typed: Compose) -> None:
    tree = lowered(typed)
    train, val = tree["train_dataloader"]["dataset"], tree["val_dataloader"]["dataset"]
    assert (train["type"], train["triplet_sampler"]) == ("ReIDDataset", {"num_ids": 8, "ins_per_id": 4})
    assert (val["ann_file"], val["triplet_sampler"], val["test_mode"]) == ("annotations/val.txt", None, True)
    assert train["data_prefix"] == val["data_prefix"] == {"img_path": "images/"}
    assert [step["type"] for step in train["pipeline"]] == ["TransformBroadcaster", "PackReIDInputs"]
    # A mirrored 2 is no 2.
    assert train["pipeline"][0]["transforms"][2]["prob"] == 0
    assert [step["type"] for step in val["pipeline"]] == ["LoadImageOrSkip", "Resize", "PackReIDInputs"]
    assert tree["val_evaluator"]["type"] == tree["test_evaluator"]["type"] == "ReIDMetrics"
    assert tree["default_hooks"]["checkpoint"]["save_best"] == "reid-metric/mAP"


def test_own_crops_may_lie_in_folders_of_their_own(typed: Compose) -> None:
    words = ("data=reid", "data.train_ann=t.txt", "data.val_ann=v.txt", "data.test_ann=e.txt", "data.img_prefix=all/")
    tree = lowered(typed, *words, "data.test_prefix=held/")
    found = [tree[f"{split}_dataloader"]["dataset"] for split in ("train", "val", "test")]
    assert [dataset["ann_file"] for dataset in found] == ["t.txt", "v.txt", "e.txt"]
    assert [dataset["data_prefix"]["img_path"] for dataset in found] == ["all/", "all/", "held/"]


def test_the_base_batch_counts_draws_and_not_crops(typed: Compose) -> None:
    config = typed(f"model={ZOO}", f"aug={ZOO}", "data=digits_reid", "schedule=1x")
    rate = learning_rate(config, INPUTS)
    # 8 GPUs of one draw of 32 crops each.
    assert (rate.base_batch, rate.base, rate.value) == (8, 0.1, 0.0125)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data=digits",), r"^model=BaseReID: compares crops of objects .* Type data=digits_reid, or data=reid "),
        (("model=rtmdet_tiny", "aug=none"), r"data=digits_reid: has crops .* model=RTMDet finds boxes\. Type exp"),
        (("aug=none",), rf"the pipelines of this aug pack images with boxes\. Type aug={ZOO}"),
        (("data.batch_size=2",), r"data\.batch_size=2: .* Type data\.batch_size=1"),
        (("data.val_batch_size=4",), r"data\.val_batch_size=4: .* Type data\.val_batch_size=1"),
        (("data.limit_val=20",), r"data\.limit_val=20: the 20 crops nearest .* Type data\.limit_val=21 or more"),
        (("data.limit_train=4",), r"data\.limit_train=4: a step draws identities from the whole list"),
        (("data=reid", "data.train_ann=t", "data.val_ann=v", "data.root=s3://b/k"), r"reads the lists of crops on thi"),
    ],
)
def test_what_does_not_go_together_is_refused(typed: Compose, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        lowered(typed, *words)
    assert any(re.search(message, problem) for problem in raised.value.problems), raised.value.problems
