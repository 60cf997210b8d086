"""The embedded videos: the same every time, tracks that move smoothly, and the layout that MOT tools read."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_api

from vision_research.config.errors import ConfigError
from vision_research.datasets.digits.maker import make_once
from vision_research.registry import make_embedded
from vision_research.tasks.tracks.embedded import DIGITS_VIDEO


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedded("digits_video", tmp_path_factory.mktemp("data") / "videos", train=2, val=1)


def load(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "annotations/train.json").read_text())
    return content


def test_every_frame_lies_where_mot_tools_look_for_it(made: Path) -> None:
    content = load(made)
    assert [video["name"] for video in content["videos"]] == ["train-01", "train-02"]
    for image in content["images"]:
        path = made / "train" / image["file_name"]
        # MOTChallengeMetric takes the video's name from the path.
        assert path.parts[-3:] == (f"train-{image['video_id']:02d}", "img1", f"{image['frame_id'] + 1:06d}.jpg")
        assert cv2.imread(str(path)).shape == (image["height"], image["width"], 3)


def test_tracks_move_smoothly_inside_the_frame_and_hide_each_other(made: Path) -> None:
    content = load(made)
    frames = {image["id"]: image for image in content["images"]}
    tracks = defaultdict(list)
    for entry in content["annotations"]:
        tracks[entry["instance_id"]].append((frames[entry["image_id"]]["frame_id"], entry))
    assert len(tracks) >= 8
    for seen in tracks.values():
        assert [frame for frame, _ in seen] == list(range(24))
        boxes = np.array([entry["bbox"] for _, entry in seen])
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, :2] + boxes[:, 2:] <= [224, 192]).all()
        assert (boxes[:, 2:] == boxes[0, 2:]).all(), "a digit keeps its size"
        steps = np.abs(np.diff(boxes[:, :2], axis=0))
        assert steps.max() <= 6 and steps.any(axis=1).mean() > 0.9
    visible = np.array([entry["visibility"] for entry in content["annotations"]])
    assert 0 <= visible.min() < 0.6 < visible.max() == 1


def test_masks_are_what_is_seen_of_each_digit(made: Path) -> None:
    content = load(made)
    whole, by_frame = defaultdict(list), defaultdict(list)
    for entry in content["annotations"]:
        mask = mask_api.decode(entry["segmentation"]).astype(bool)
        by_frame[entry["image_id"]].append(mask)
        left, top, width, height = entry["bbox"]
        assert mask.shape == (192, 224)
        assert mask[top : top + height, left : left + width].sum() == mask.sum(), "nothing of it is outside of its box"
        if entry["visibility"] == 1:
            rows, columns = np.nonzero(mask)
            assert [columns.min(), rows.min()] == [left, top]
            assert [columns.max() + 1 - left, rows.max() + 1 - top] == [width, height]
        if entry["visibility"] > 0.5:
            whole[entry["instance_id"]].append(mask.sum() / entry["visibility"])
    for areas in whole.values():
        np.testing.assert_allclose(areas, areas[0], rtol=2e-3, err_msg="what is seen is the visible share of the digit")
    assert all(np.sum(masks, axis=0).max() == 1 for masks in by_frame.values()), "of two, the one in front has a pixel"


def test_videos_of_an_earlier_program_are_refused(made: Path) -> None:
    later = replace(DIGITS_VIDEO, version=3)
    with pytest.raises(ConfigError, match=r"holds other digits_video .*Type another folder \(data\.root=\S+-v3\)"):
        make_once(later, made, {})
