"""Trackers through the product: trained on the embedded videos, scored by MOTChallenge's metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from workplace import Workplace

from vision_research.checks.extras import missing_extras
from vision_research.checks.preflight import preflight
from vision_research.checks.validation import validate
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import make_embedded, specify

TRACKERS = {
    "bytetrack": "bytetrack_yolox_x_8xb4-80e_crowdhuman-mot17halftrain_test-mot17halfval",
    "ocsort": "ocsort_yolox_x_8xb4-amp-80e_crowdhuman-mot17halftrain_test-mot17halfval",
    "qdtrack": "qdtrack_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval",
    "sort": "sort_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval",
    "strongsort": "strongsort_yolox_x_8xb4-80e_crowdhuman-mot17halftrain_test-mot17halfval",
}


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["bytetrack", "qdtrack"])
def test_a_tracker_is_trained_and_scored_on_the_embedded_videos(workplace: Workplace, experiment: str) -> None:
    printed = workplace.run(
        f"experiment={experiment}",
        "schedule.max_epochs=1",
        "schedule.val_interval=1",
        "aug.final_epochs=0",
        "data.limit_train=1",
        "data.limit_val=1",
        "image_size=[96,128]",
        "hw=cpu",
        "hw.num_threads=1",
        "data.num_workers=0",
        f"work_dir={experiment}",
        tiny=False,
    )
    assert "FINISHED" in printed
    lines = (workplace.folder / experiment).glob("*/vis_data/scalars.json")
    scores = [json.loads(line) for file in lines for line in file.read_text().splitlines() if "HOTA" in line]
    assert {"motchallenge-metric/HOTA", "motchallenge-metric/MOTA", "motchallenge-metric/IDF1"} <= scores[-1].keys()
    assert scores[-1]["motchallenge-metric/FN"] > 0, "the objects of the video were counted"
    assert re.search(r"best motchallenge-metric/HOTA +\S+ at epoch 1", printed)

    tested = workplace.run(f"run={experiment}", module="test", tiny=False)
    assert "val: 24 batches, scored on tracks" in tested
    for name in ("HOTA", "MOTA", "FN"):
        found = re.search(rf"^ *{name} +(-?[\d.]+)", tested, re.MULTILINE)
        assert found and float(found[1]) == pytest.approx(scores[-1][f"motchallenge-metric/{name}"], abs=1e-4)
    refused = workplace.run(f"run={experiment}", module="threshold", tiny=False, expect=1)
    told = (
        f"is scored on tracks, and thresholds are chosen on boxes. Type python -m vision_research.test run={experiment}"
    )
    assert told in refused
    refused = workplace.run(f"experiment={experiment}", "export=torchscript", "work_dir=exported", tiny=False, expect=1)
    assert "cannot be exported" in refused and "Turn the export off with export=none" in refused
    assert not (workplace.folder / "exported").exists(), "nothing was trained in vain"


@pytest.mark.slow
@pytest.mark.parametrize("tracker", list(TRACKERS))
def test_every_tracker_of_the_zoo_composes_with_the_embedded_videos(
    tracker: str, typed: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    make_embedded("digits_video", tmp_path / "videos", train=1, val=1)
    zoo = f"zoo/{tracker}/{TRACKERS[tracker]}"
    # SORT and StrongSORT train nothing themselves.
    put_together = {"sort": "qdtrack", "strongsort": "bytetrack"}
    trained_like = put_together.get(tracker, tracker)
    aug = f"zoo/{trained_like}/{TRACKERS[trained_like]}"
    config = typed(f"model={zoo}", f"aug={aug}", "data=digits_video", "schedule=1x", f"data.root={tmp_path / 'videos'}")
    if tracker in put_together:
        with pytest.raises(ConfigError, match="has no training of its own. Type .*experiment=bytetrack"):
            validate(specify(config))
    else:
        validate(specify(config))
    tree = lower(specify(config), LoweringInputs(tmp_path, ("digit",), num_train=24))
    assert tree["val_evaluator"]["type"] == "MOTChallengeMetric"
    assert tree["val_dataloader"]["sampler"] == {"type": "TrackImgSampler"}
    if absent := missing_extras(tree):
        assert len(absent) == len({line.partition(" Type ")[2] for line in absent}), "each package once"
        assert all("Type python -m pip install 'vision-research[" in line for line in absent)
        with pytest.raises(ConfigError, match="not installed"):
            preflight(tree)
    else:
        preflight(tree)


@pytest.mark.slow
def test_masks_are_followed_scored_by_whole_videos_and_tested_again(workplace: Workplace) -> None:
    printed = workplace.run(
        "experiment=masktrack_rcnn",
        "schedule.max_epochs=2",
        "schedule.val_interval=1",
        "data.limit_train=1",
        "data.limit_val=1",
        "image_size=[96,128]",
        "hw=cpu",
        "hw.num_threads=1",
        "data.num_workers=0",
        "work_dir=masks",
        tiny=False,
    )
    assert "FINISHED" in printed
    lines = (workplace.folder / "masks").glob("*/vis_data/scalars.json")
    scores = [json.loads(line) for file in lines for line in file.read_text().splitlines() if "segm_mAP" in line]
    assert len(scores) == 2, "the second validation counts anew"
    best = re.search(r"best youtube_vis/segm_mAP +(\S+) at epoch", printed)
    assert best is not None
    tested = workplace.run("run=masks", "split=val", module="test", tiny=False)
    assert "val: 1 batch, scored on tracks with masks" in tested
    again = re.search(r"segm_mAP +(\S+)", tested)
    assert again is not None and float(again[1]) == pytest.approx(float(best[1]), abs=1e-3)
    refused = workplace.run("run=masks", module="threshold", tiny=False, expect=1)
    assert "run=masks: this MaskTrackRCNN is scored on tracks with masks" in refused


def test_a_tracker_on_still_images_is_refused_before_anything_starts(typed: Callable[..., TrainConfig]) -> None:
    zoo = f"zoo/qdtrack/{TRACKERS['qdtrack']}"
    with pytest.raises(ConfigError, match="needs videos with tracks, and data=digits has none"):
        validate(specify(typed(f"model={zoo}", f"aug={zoo}", "data=digits")))
