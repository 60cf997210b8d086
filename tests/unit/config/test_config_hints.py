"""What a person reads who has typed a word that is not there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hydra import compose, initialize_config_dir

from vision_research.config.compose import conf_dir, register
from vision_research.config.hints import explain, unknown_keys
from vision_research.config.schema import TrainConfig
from vision_research.registry import monitor_of


def refusal(word: str) -> str:
    register(monitor_of)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"), pytest.raises(Exception) as caught:  # noqa: PT011
        compose("train", overrides=[word])
    explained = explain(caught.value, [word])
    assert explained is not None
    return explained


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("model=rtmdet_tinny", "Did you mean model=rtmdet_tiny"),
        (
            "model=zoo/retinanet/retinanet_r18_fpn_1x_cocoo",
            "Did you mean model=zoo/retinanet/retinanet_r18_fpn_1x_coco",
        ),
        (
            "schedule=zoo/retinanet/retinanet_r18_fpn_1x_cocoo",
            "Did you mean schedule=zoo/retinanet/retinanet_r18_fpn_1x_coco",
        ),
        ("aug=zoo/yolox/yolox_tny_8xb8-300e_coco", "Did you mean aug=zoo/yolox/yolox_tiny_8xb8-300e_coco"),
        ("data=zoo/tood/tood_r50_fpn_1x_cco", "Did you mean data=zoo/tood/tood_r50_fpn_1x_coco"),
        ("experiment=zoo/tood/tood_r50_fpn_1x_cco", "Did you mean experiment=zoo/tood/tood_r50_fpn_1x_coco"),
        ("experiment=dmo", "Did you mean experiment=demo?"),
        ("data.bath_size=3", "Did you mean data.batch_size"),
        ("modl=retinanet", "Did you mean model?"),
        ("model.bakbone.depth=18", "Did you mean model.backbone?"),
    ],
)
def test_a_misspelt_word_gets_the_nearest_and_all_that_is_allowed(word: str, nearest: str) -> None:
    first, second, *_ = refusal(word).splitlines()
    assert first.startswith(f"{word}: there is no ")
    assert nearest in first
    assert second.startswith("Available ")


def test_options_are_listed_with_the_way_into_the_zoo() -> None:
    listed = refusal("model=swin").splitlines()[1]
    assert listed.startswith("Available options in 'model': atss, cascade_rcnn, centernet, ")
    assert listed.endswith(", yolox_tiny, yolox_x, zoo/FAMILY/CONFIG")


@pytest.mark.slow
def test_only_where_anything_may_be_added_adding_is_offered() -> None:
    assert "type +model.backbone.dept=18" in refusal("model.backbone.dept=18")
    assert "+data" not in refusal("data.bath_size=3")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "schedule.max_epochs=abc",
            "schedule.max_epochs=abc: Value 'abc' of type 'str' could not be converted to Integer",
        ),
        (
            "data.kind=cocoo",
            "data.kind=cocoo: Invalid value 'cocoo', "
            "expected one of [digits, coco, voc, mot, youtube_vis, digits_video, digits_panoptic, digits_semi, reid, "
            "digits_reid, zoo]",
        ),
        ("image_size=(480,640)", "image_size=(480,640): lists are written in brackets. Type 'image_size=[480,640]'"),
        ("data.root=a=b", "data.root=a=b: cannot be read. Quote the value: 'data.root=\"a=b\"'"),
        ("data.batch_size", "data.batch_size: is no KEY=VALUE. Type data.batch_size=VALUE"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_what_would(word: str, message: str) -> None:
    assert refusal(word) == message


def test_a_key_added_where_nothing_reads_it_is_refused(typed: Callable[..., TrainConfig]) -> None:
    config = typed("+data.bath_size=3", "+model.backbone.new=1", "+schedule.optimizer_args.momentum=0.9")
    (problem,) = unknown_keys(config)
    assert problem.startswith("+data.bath_size: there is no such key. Did you mean data.batch_size")


def test_an_error_that_is_no_refusal_is_left_alone() -> None:
    assert explain(RuntimeError("a bug"), []) is None
