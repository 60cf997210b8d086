"""The embedded data set: made once, whole, the same every time, and what it says it is."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_api

from vision_research.config.errors import ConfigError
from vision_research.datasets import digits, digits_render, made_once
from vision_research.datasets.coco_json import inspect_coco
from vision_research.datasets.digits import DigitsPaths, make_digits
from vision_research.datasets.digits_render import glyph_indices

SMALL = {"num_train": 12, "num_val": 4, "num_test": 3}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> DigitsPaths:
    return make_digits(tmp_path_factory.mktemp("data") / "digits", **SMALL)


def load(paths: DigitsPaths, ann: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((paths.root / ann).read_text())
    return content


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_split_is_a_flawless_coco_file(made: DigitsPaths, split: str) -> None:
    ann = {"train": made.train_ann, "val": made.val_ann, "test": made.test_ann}[split]

    report = inspect_coco(made.root / ann, made.root / made.img_prefix, strict=True)

    assert report.problems == report.warnings == ()
    assert report.categories == tuple((digit + 1, str(digit)) for digit in range(10))
    assert report.num_images == SMALL[f"num_{split}"]
    assert 2 * report.num_images <= report.num_boxes <= 8 * report.num_images


def test_boxes_are_tight_around_masks_that_do_not_overlap(made: DigitsPaths) -> None:
    content = load(made, made.train_ann)
    for image in content["images"]:
        covered = np.zeros((image["height"], image["width"]), dtype=int)
        for annotation in (entry for entry in content["annotations"] if entry["image_id"] == image["id"]):
            mask = mask_api.decode(annotation["segmentation"])
            covered += mask
            assert mask_api.toBbox(annotation["segmentation"]).tolist() == annotation["bbox"]
            assert annotation["area"] == mask.sum()
        assert covered.max() == 1


def test_digits_stand_out_from_what_is_around_them(made: DigitsPaths) -> None:
    content = load(made, made.train_ann)
    contrasts = []
    for image in content["images"]:
        grey = cv2.imread(str(made.root / made.img_prefix / image["file_name"]), cv2.IMREAD_GRAYSCALE)
        assert grey is not None
        assert grey.shape == (image["height"], image["width"])
        for annotation in (entry for entry in content["annotations"] if entry["image_id"] == image["id"]):
            mask = mask_api.decode(annotation["segmentation"]).astype(bool)
            ring = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~mask
            contrasts.append(abs(float(grey[mask].mean()) - float(grey[ring].mean())))

    assert np.median(contrasts) > 50
    assert np.quantile(contrasts, 0.05) > 15


def test_no_glyph_is_in_two_splits() -> None:
    splits = [np.concatenate(glyph_indices(split)) for split in ("train", "val", "test")]

    assert sum(map(len, splits)) == len(np.unique(np.concatenate(splits))) == 1797
    assert len(splits[0]) > 1200
    assert min(len(indices) for split in ("train", "val", "test") for indices in glyph_indices(split)) > 20


def test_it_is_the_same_to_the_byte_when_made_again(made: DigitsPaths, tmp_path: Path) -> None:
    again = make_digits(tmp_path / "other", **SMALL)

    assert digest(again.root) == digest(made.root)
    assert len(digest(made.root)) == 12 + 4 + 3 + 3 + 1


def test_a_larger_set_begins_with_the_smaller_one(made: DigitsPaths, tmp_path: Path) -> None:
    larger = make_digits(tmp_path / "larger", num_train=13, num_val=0, num_test=0)

    assert digest(larger.root)["images/train/000012.jpg"] == digest(made.root)["images/train/000012.jpg"]


def test_what_is_there_is_not_made_again(made: DigitsPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_once, "_build_and_publish", lambda *_: pytest.fail("made again"))

    assert make_digits(made.root) == made
    assert make_digits(made.root, **SMALL) == made


def test_an_empty_folder_is_filled_and_follows_the_umask(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    before = os.umask(0o027)
    try:
        paths = make_digits(tmp_path / "digits", num_train=1, num_val=1, num_test=1)
    finally:
        os.umask(before)

    assert (paths.root / "digits.json").is_file()
    assert paths.root.stat().st_mode & 0o777 == 0o750


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(digits_render, "encode_jpeg", fail)

    with pytest.raises(KeyboardInterrupt):
        make_digits(tmp_path / "digits", **SMALL)

    assert [path.name for path in tmp_path.iterdir()] == [".digits.lock"]


def make_and_die(folder: Path) -> None:
    def die(*_: object) -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""

    digits_render.encode_jpeg = die
    make_digits(folder, **SMALL)


def test_after_a_kill_the_next_command_makes_it_and_clears_away(tmp_path: Path, made: DigitsPaths) -> None:
    child = multiprocessing.get_context("fork").Process(target=make_and_die, args=(tmp_path / "digits",))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert not (tmp_path / "digits").exists()

    paths = make_digits(tmp_path / "digits", **SMALL)

    assert digest(paths.root) == digest(made.root)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".digits.lock", "digits"]


def test_several_commands_may_ask_at_once(tmp_path: Path, made: DigitsPaths) -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        results = [pool.apply_async(make_digits, (tmp_path / "digits",), SMALL) for _ in range(4)]
        roots = {result.get(timeout=60).root for result in results}

    assert roots == {tmp_path / "digits"}
    assert digest(tmp_path / "digits") == digest(made.root)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()

    with pytest.raises(ConfigError, match="is there, but no digits data set made by this program") as error:
        make_digits(tmp_path)

    assert f"Type another folder (data.root={tmp_path}-v1)" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_digits_of_another_generator_are_refused(made: DigitsPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "GENERATOR_VERSION", 99)

    with pytest.raises(ConfigError, match=r"holds other digits \(.*\"generator_version\": 1.*\(generator_version 99\)"):
        make_digits(made.root)


def test_digits_of_another_number_are_refused(made: DigitsPaths) -> None:
    with pytest.raises(ConfigError, match=r"holds other digits .*than this program makes now .*\"val\": 5"):
        make_digits(made.root, num_val=5)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        ConfigError, match=r"data.root=.*cannot be made there \(Not a directory\).*Type data.root=<folder>"
    ):
        make_digits(tmp_path / "file" / "data" / "digits")
