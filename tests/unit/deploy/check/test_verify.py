"""The check of a saved artifact: what it accepts, what it refuses, and what it says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from numpy.typing import NDArray

from vision_research.deploy.build.detector import build_exported
from vision_research.deploy.build.input_spec import read_input_spec
from vision_research.deploy.check import consumer
from vision_research.deploy.check.cases import Case, build_cases, load_images
from vision_research.deploy.check.consume import run_consumer
from vision_research.deploy.check.expected import Expected
from vision_research.deploy.check.reference import PythonDetector
from vision_research.deploy.check.verify import verify
from vision_research.deploy.errors import ExportError
from vision_research.deploy.families.registry import find_family

Picture = Callable[..., NDArray[np.uint8]]


@pytest.fixture
def exported(
    config_of: Callable[[str], Config], build_detector: Callable[[Config], Any], picture: Picture
) -> tuple[Any, PythonDetector]:
    config = config_of("retinanet")
    detector = build_detector(config)
    pipeline = config.test_dataloader.dataset.pipeline
    spec = read_input_spec(pipeline, config.model.data_preprocessor)
    module = build_exported(detector, spec, torch.from_numpy(picture(9)))
    return module, PythonDetector(detector, pipeline, spec, find_family(detector))


@pytest.mark.slow
def test_a_box_head_that_is_off_is_reported_by_image_and_amount(
    exported: tuple[Any, PythonDetector], picture: Picture, tmp_path: Path
) -> None:
    module, reference = exported
    # Boxes shift by a hundredth of their anchors' width; scores, and so most counts, stay.
    module.postprocess.boxes.decoder.means[0, 0] = 0.01
    module.save(str(tmp_path / "model.ts"))

    with pytest.raises(ExportError) as error:
        verify(tmp_path / "model.ts", Expected(reference), [Case("cells.png", picture(1), max_per_img=5)])

    assert "cells.png, from the normalised tensor on: boxes differ by up to" in str(error.value)
    assert "px (allowed 0.01), scores by up to 0 (allowed 0.0001), over 5 detections" in str(error.value)


@pytest.mark.slow
def test_a_missing_detection_is_reported_as_a_count(
    exported: tuple[Any, PythonDetector], picture: Picture, tmp_path: Path
) -> None:
    module, reference = exported
    module.postprocess.nms.iou_threshold = 0.05
    module.save(str(tmp_path / "model.ts"))

    with pytest.raises(ExportError, match=r"cells.png, .*: \d+ detections instead of \d+"):
        verify(tmp_path / "model.ts", Expected(reference), [Case("cells.png", picture(1), max_per_img=1000)])


@pytest.mark.slow
def test_a_file_that_is_no_model_is_reported_with_torchs_words(tmp_path: Path) -> None:
    (tmp_path / "model.ts").write_bytes(b"no model")

    with pytest.raises(ExportError, match="does not run where only torch is imported"):
        run_consumer(tmp_path / "model.ts", [])


@pytest.mark.slow
def test_the_consumer_names_what_it_found_imported(tmp_path: Path) -> None:
    assert "mmdet" in sys.modules
    module = torch.jit.script(torch.nn.Identity())
    module.save(str(tmp_path / "model.ts"))
    np.savez(tmp_path / "requests.npz")
    (tmp_path / "requests.json").write_text("[]")

    consumer.serve(str(tmp_path / "model.ts"), str(tmp_path), 1)

    found = json.loads((tmp_path / "replies.json").read_text())["imported"]
    assert {"mmcv", "mmdet", "mmengine"} <= set(found)
    assert run_consumer(tmp_path / "model.ts", []) == []


@pytest.mark.slow
def test_the_cases_hold_both_ends(exported: tuple[Any, PythonDetector], picture: Picture) -> None:
    _, reference = exported
    images = [(str(seed), picture(seed)) for seed in range(3)]

    cases = build_cases(images, reference)

    counts = []
    for case in cases:
        with reference.thresholds(case.score_thr, case.max_per_img):
            counts.append(len(reference.predict(reference.prepare(case.image)).scores))
    assert [case.name for case in cases[:6]] == [
        "0",
        "1",
        "2",
        "0, turned by 90 degrees",
        "0, a third of its size",
        "noise",
    ]
    assert [case.image.shape for case in cases[3:6]] == [(144, 96, 3), (32, 48, 3), (96, 144, 3)]
    assert counts[-1] >= 200, "the crowded image"
    assert counts[-2] == 0, "the black image"
    # The thresholds of the detector itself are as they were.
    assert (reference.score_thr, reference.max_per_img) == (0.05, 100)


def test_a_small_data_set_is_completed_with_mirrored_copies(picture: Picture, tmp_path: Path) -> None:
    import cv2

    paths = [str(tmp_path / f"{index}.png") for index in range(2)]
    for index, path in enumerate(paths):
        cv2.imwrite(path, picture(index))

    class Two:
        def __len__(self) -> int:
            return 2

        def get_data_info(self, index: int) -> dict[str, str]:
            return {"img_path": paths[index]}

    images = load_images(Two(), [{"type": "LoadImageFromFile"}], 5)

    assert [name.removeprefix(str(tmp_path)) for name, _ in images] == [
        "/0.png",
        "/1.png",
        "/0.png, mirrored",
        "/1.png, mirrored",
        "/0.png, upside down",
    ]
    assert np.array_equal(images[2][1], picture(0)[:, ::-1])
