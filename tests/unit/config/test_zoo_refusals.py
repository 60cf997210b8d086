"""What does not go together with a file of the zoo is refused with what to type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vision_research.config.errors import ConfigError

Lower = Callable[..., dict[str, Any]]
COCO = ("data=coco", "data.root=/images", "data.train_ann=train.json", "data.val_ann=val.json")
RCNN = "zoo/faster_rcnn/faster-rcnn_r50_fpn_1x_coco"


@pytest.mark.parametrize(
    ("aug", "need"),
    [
        ("zoo/qdtrack/qdtrack_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval", "videos with tracks"),
        ("zoo/panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco", "panoptic annotations"),
        ("zoo/htc/htc_r50_fpn_1x_coco", "a map of classes for every pixel"),
        ("zoo/fast_rcnn/fast-rcnn_r50_fpn_1x_coco", "proposals that were computed before"),
    ],
)
def test_what_the_data_does_not_have_is_refused_with_the_step(lowered: Lower, aug: str, need: str) -> None:
    with pytest.raises(ConfigError, match=rf"aug\.recipe\.train\..*type=.*needs {need}.*data=coco has none"):
        lowered(f"aug={aug}", "schedule=1x", *COCO)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data.repeat=3",), r"data\.repeat=3: is not read with data=zoo/faster_rcnn.*Change those under data\.recipe"),
        (("data.train_ann=a.json", "data.classes=[cat]"), r"data\.train_ann=a\.json: is not read"),
        (("data.max_bad_images=3",), r"data\.max_bad_images=3: is not read"),
        (("aug.final_epochs=3",), r"aug\.final_epochs=3: aug=zoo/faster_rcnn.* has no such stage.*aug\.final_epochs=0"),
    ],
)
def test_a_knob_that_nothing_would_read_is_refused(lowered: Lower, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        lowered(f"experiment={RCNN}", *words)
    assert len(raised.value.problems) == len(words)


def test_our_loading_counts_bad_images_of_a_file_s_data_too(lowered: Lower) -> None:
    tree = lowered(f"experiment={RCNN}", "aug=flip", "data.max_bad_images=3")
    assert tree["train_dataloader"]["dataset"]["pipeline"][0]["max_skipped"] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sort/sort_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval",), "has no training of its own"),
        (
            ("bytetrack/bytetrack_yolox_x_8xb4-80e_crowdhuman-mot17halftrain_test-mot17halfval",),
            r"single images\. Type aug=zoo/bytetrack/\S+ data=digits_video",
        ),
        (("fast_rcnn/fast-rcnn_r50_fpn_1x_coco",), "proposals .* or model=faster_rcnn"),
    ],
)
def test_a_detector_that_is_fed_in_another_way_is_refused(lowered: Lower, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        lowered(f"model=zoo/{words[0]}", "data=digits", "aug=none")


def test_data_sets_of_one_file_in_the_pipelines_of_another(lowered: Lower) -> None:
    voc = "zoo/pascal_voc/faster-rcnn_r50_fpn_1x_voc0712"
    tree = lowered(f"data={voc}", f"aug={RCNN}", "schedule=1x", "model=retinanet")
    dataset = tree["train_dataloader"]["dataset"]
    assert [one["type"] for one in dataset["datasets"]] == ["VOCDataset", "VOCDataset"]
    assert all(one["pipeline"][2]["scale"] == (1333, 800) for one in dataset["datasets"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("+aug.recipe.train.pipeline.3._delete_=true", r"aug\.recipe\.train\.pipeline\.3\._delete_: MMEngine's"),
        ("+schedule.recipe.optim_wrapper._delete_=true", r"schedule\.recipe\.optim_wrapper\._delete_: MMEngine's"),
        ("+data.recipe.train_dataloader._base_=x", r"data\.recipe\.train_dataloader\._base_: MMEngine's"),
        ("+recipe.env_cfg._delete_=true", r"^recipe\.env_cfg\._delete_: MMEngine's"),
        ("+model.backbone._delete_=true", r"model\.backbone\._delete_: MMEngine's"),
    ],
)
def test_a_word_of_inheritance_that_is_left_over_is_refused_everywhere(lowered: Lower, word: str, place: str) -> None:
    with pytest.raises(ConfigError, match=place):
        lowered(f"experiment={RCNN}", word)
