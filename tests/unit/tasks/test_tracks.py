"""Videos with masks: data set, sampler, metric and classes of a video instance segmentation, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vision_research.checks.validation import validate
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.datasets.facts import DatasetFacts
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify

Compose = Callable[..., TrainConfig]
MASKTRACK = "zoo/masktrack_rcnn/masktrack-rcnn_mask-rcnn_r50_fpn_8xb1-12e_youtubevis2019"
MASK2FORMER = "zoo/mask2former_vis/mask2former_r50_8xb2-8e_youtubevis2021"
QDTRACK = "zoo/qdtrack/qdtrack_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval"
OWN = ("data=youtube_vis", "data.root=/v", "data.train_ann=train.json", "data.val_ann=val.json", "data.img_prefix=jpg/")


def lowered(typed: Compose, *words: str, classes: tuple[str, ...] = ("digit",)) -> dict[str, Any]:
    config = typed("schedule=tiny", *words)
    validate(specify(config))
    return lower(specify(config), LoweringInputs(Path("/runs/x"), classes, num_train=8, masks="rle"))


@pytest.mark.parametrize("zoo", [MASKTRACK, MASK2FORMER])
def test_masks_are_followed_through_videos_and_scored_by_whole_ones(typed: Compose, zoo: str) -> None:
    tree = lowered(typed, f"model={zoo}", f"aug={zoo}", "data=digits_video")
    train, val = tree["train_dataloader"], tree["val_dataloader"]
    assert train["dataset"]["type"] == val["dataset"]["type"] == "BaseVideoDataset"
    assert train["dataset"]["data_prefix"] == {"img_path": "train/"}
    assert train["dataset"]["metainfo"] == {"classes": ("digit",)}
    assert train["sampler"] == {"type": "TrackImgSampler"}
    assert (val["batch_size"], val["sampler"]["type"], val["sampler"]["round_up"]) == (1, "DefaultSampler", False)
    for loader in (train, val):
        (frames,) = [step for step in loader["dataset"]["pipeline"] if step["type"] == "TransformBroadcaster"]
        assert {"type": "LoadTrackAnnotations", "with_mask": True} in frames["transforms"]
    assert tree["val_evaluator"] == tree["test_evaluator"] == {"type": "VideoMaskMetric"}
    assert tree["default_hooks"]["checkpoint"]["save_best"] == "youtube_vis/segm_mAP"


@pytest.mark.slow
def test_a_person_s_own_videos_give_their_classes(typed: Compose) -> None:
    names = tuple(f"class {number}" for number in range(40))
    tree = lowered(typed, f"model={MASKTRACK}", f"aug={MASKTRACK}", *OWN, classes=names)
    assert tree["train_dataloader"]["dataset"]["metainfo"] == {"classes": names}
    assert tree["train_dataloader"]["dataset"]["data_prefix"] == {"img_path": "jpg/"}
    roi_head = tree["model"]["detector"]["roi_head"]
    assert roi_head["bbox_head"]["num_classes"] == roi_head["mask_head"]["num_classes"] == 40


def test_queries_of_videos_weigh_the_classes_of_the_data(typed: Compose) -> None:
    head = lowered(typed, f"model={MASK2FORMER}", f"aug={MASK2FORMER}", "data=digits_video")["model"]["track_head"]
    assert (head["num_classes"], head["loss_cls"]["class_weight"]) == (1, [1.0, 0.1])


@pytest.mark.slow
def test_pipelines_of_a_tracker_of_boxes_load_masks_for_one_of_masks(typed: Compose) -> None:
    tree = lowered(typed, f"model={MASKTRACK}", f"aug={QDTRACK}", "data=digits_video")
    for split in ("train", "val"):
        steps = [
            inner
            for step in tree[f"{split}_dataloader"]["dataset"]["pipeline"]
            for inner in step.get("transforms", [])
            if inner["type"] == "LoadTrackAnnotations"
        ]
        assert steps and all(step["with_mask"] for step in steps)
    plain = lowered(typed, f"model={QDTRACK}", f"aug={QDTRACK}", "data=digits_video")
    assert "with_mask" not in str(plain["train_dataloader"])
    assert plain["val_evaluator"]["type"] == "MOTChallengeMetric"


def test_the_same_videos_train_a_detector_of_masks_frame_by_frame(typed: Compose) -> None:
    tree = lowered(typed, "model=mask_rcnn", "aug=flip", "data=digits_video")
    assert tree["train_dataloader"]["dataset"]["type"] == "CocoDataset"
    assert tree["val_evaluator"]["metric"] == ["bbox", "segm"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((f"model={MASKTRACK}", f"aug={MASKTRACK}", "data=digits"), "needs videos with tracks, and data=digits has"),
        ((f"model={MASKTRACK}", "aug=flip", "data=digits"), r"Type aug=\S+ data=digits_video, or data=youtube_vis"),
        ((f"model={QDTRACK}", f"aug={QDTRACK}", *OWN), "Type data=digits_video, or data=mot, or a tracker of masks"),
    ],
)
def test_what_has_no_videos_with_masks_is_refused(typed: Compose, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        lowered(typed, *words)


def test_annotations_without_masks_are_refused_with_what_has_some(typed: Compose) -> None:
    run = specify(typed(f"model={MASKTRACK}", f"aug={MASKTRACK}", *OWN))
    facts = DatasetFacts(("cat",), {"train": 8, "val": 8}, digest="")
    first, *_ = run.task.unfit(run, facts)
    assert "data.train_ann=train.json has no segmentation" in first
    assert first.endswith("Type data=digits_video, data=youtube_vis, or a tracker of boxes: experiment=qdtrack")
    (unscored,) = run.task.unfit(run, replace(facts, masks="rle"))
    assert "data.val_ann=val.json has no segmentation for every object. Type data.val_ann=" in unscored
    assert not list(run.task.unfit(run, replace(facts, masks="rle", scored_masks="rle")))
