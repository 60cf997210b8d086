"""AP of masks through videos: small ones counted by hand, and MMDetection's own metric where it can be made to run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mmdet.evaluation.metrics import YouTubeVISMetric
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.structures import InstanceData
from pycocotools import mask as mask_api

from vision_research.tasks.tracks.metric import VideoMaskMetric

LEFT = np.zeros((8, 8), dtype=bool)
LEFT[2:6, :4] = True
RIGHT = LEFT[:, ::-1]
NOTHING = np.zeros_like(LEFT)
ITEMS = ["mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l", "AR@1", "AR@10"]
# Of one frame: identity, mask and score or label of each object.
Found = list[tuple[int, np.ndarray[Any, Any], float]]
There = list[tuple[int, np.ndarray[Any, Any]]]


def encoded(mask: np.ndarray[Any, Any]) -> dict[str, Any]:
    run_lengths = mask_api.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(run_lengths["size"]), "counts": run_lengths["counts"].decode()}


def video(number: int, found: list[Found], there: list[There]) -> dict[str, Any]:
    """What a detector has found in a video, frame by frame, with the truth that its pipeline has packed."""
    frames = []
    for place, (answers, truths) in enumerate(zip(found, there, strict=True)):
        instances = [
            {"bbox": [0, 0, 4, 4], "bbox_label": 0, "instance_id": identity, "ignore_flag": 0, "mask": encoded(mask)}
            for identity, mask in truths
        ]
        frame = DetDataSample(
            metainfo={
                "img_id": 100 * number + place,
                "video_id": number,
                "frame_id": place,
                "ori_shape": (8, 8),
                "ori_video_length": len(found),
                "instances": instances,
            }
        )
        frame.pred_track_instances = InstanceData(
            bboxes=torch.zeros(len(answers), 4),
            scores=torch.tensor([score for _, _, score in answers]),
            labels=torch.zeros(len(answers), dtype=torch.long),
            instances_id=torch.tensor([identity for identity, _, _ in answers], dtype=torch.long),
            masks=torch.from_numpy(np.array([mask for _, mask, _ in answers], dtype=bool).reshape(-1, 8, 8)),
        )
        frames.append(frame)
    sample = TrackDataSample()
    sample.video_data_samples = frames
    return {"video_data_samples": sample.video_data_samples}


def scored(*videos: dict[str, Any], metric: Any = None) -> dict[str, float]:
    metric = metric or VideoMaskMetric()
    metric.dataset_meta = {"classes": ("digit",)}
    for one in videos:
        metric.process({}, [one])
    values: dict[str, float] = metric.evaluate(len(videos))
    return values


def test_a_mask_that_is_found_in_every_frame_has_an_ap_of_one() -> None:
    values = scored(video(1, [[(7, LEFT, 0.9), (8, RIGHT, 0.8)]] * 4, [[(1, LEFT), (2, RIGHT)]] * 4))
    assert (values["youtube_vis/segm_mAP"], values["youtube_vis/segm_AR@10"]) == pytest.approx((1, 1))
    assert values["youtube_vis/segm_AR@1"] == 0.5, "the best of two objects"


def test_an_identity_that_changes_breaks_the_tube() -> None:
    changed = [[(7, LEFT, 0.9)]] * 3 + [[(9, LEFT, 0.5)]]
    values = scored(video(1, changed, [[(1, LEFT)]] * 4))
    # Three frames of four: found at the IoU thresholds 0.50 to 0.75, six of the ten; the other tube comes after it.
    assert values["youtube_vis/segm_mAP"] == pytest.approx(0.6)
    assert (values["youtube_vis/segm_mAP_50"], values["youtube_vis/segm_mAP_75"]) == pytest.approx((1, 1))


def test_a_better_scored_mask_of_nothing_halves_the_precision() -> None:
    values = scored(video(1, [[(7, RIGHT, 0.9), (8, LEFT, 0.5)]] * 2, [[(1, LEFT)]] * 2))
    assert values["youtube_vis/segm_mAP"] == pytest.approx(0.5)


def test_an_empty_mask_is_an_object_that_is_out_of_sight() -> None:
    seen, gone = [(7, LEFT, 0.9)], []
    values = scored(video(1, [seen, gone], [[(1, LEFT)], [(1, NOTHING)]]))
    assert values["youtube_vis/segm_mAP"] == pytest.approx(1)


def test_nothing_found_is_an_ap_of_zero() -> None:
    assert scored(video(1, [[], []], [[(1, LEFT)]] * 2))["youtube_vis/segm_mAP"] == 0


def test_every_validation_of_a_run_counts_its_own_videos() -> None:
    metric = VideoMaskMetric()
    good = video(1, [[(7, LEFT, 0.9)]] * 2, [[(1, LEFT)]] * 2)
    first = scored(good, metric=metric)
    worse = scored(good, video(2, [[]] * 2, [[(2, LEFT)]] * 2), metric=metric)
    assert (first["youtube_vis/segm_mAP"], worse["youtube_vis/segm_AR@10"]) == pytest.approx((1, 0.5))
    assert scored(good, metric=metric) == first


def test_values_are_those_of_mmdetection_s_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    # It asks numpy for a name that is gone.
    monkeypatch.setattr(np, "float", float, raising=False)
    rng = np.random.default_rng(4)
    videos = []
    for number in range(1, 4):
        there: list[There] = [[(10 * number + k, rng.random((8, 8)) < 0.5) for k in range(3)] for _ in range(5)]
        found: list[Found] = [
            [
                (k, mask ^ (rng.random((8, 8)) < 0.04 * (k + 1)), float(rng.random()))
                for k, (_, mask) in enumerate(frame)
            ]
            for frame in there
        ]
        videos.append(video(number, found, there))
    ours, theirs = scored(*videos), scored(*videos, metric=YouTubeVISMetric(metric_items=ITEMS))
    assert 0.1 < ours["youtube_vis/segm_mAP"] < 0.95
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, abs=6e-4), "theirs are rounded to thousandths"
