"""Bad input: one clear message, exit code 1, before a process is launched, and nothing half-written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from workplace import Workplace

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model=rtmdet_tinny",), "Did you mean model=rtmdet_tiny.*\nAvailable options in 'model'"),
        (("data.bath_size=3",), "Did you mean data.batch_size.*\nAvailable keys in 'data'"),
        (("data.batch_size=many",), "data.batch_size=many: .* could not be converted to Integer"),
        (("-m", "seed=1,2", "--cfg", "job"), "-m with --cfg or --info: these print what one run would use"),
        (("-m", "schedule.lr=0.001,fast"), "schedule.lr=0.001,fast: Value 'fast'"),
        (("image_size=[64,64,64]",), "image_size=.64, 64, 64.: is .height, width."),
        (("aug=mosaic", "aug.final_epochs=2"), "Type aug.final_epochs=1 or less"),
        (("data=coco", "data.root=nowhere"), "data.train_ann is not set"),
        (("data.root=nowhere", "data.kind=coco"), "data.root"),
        (("data.kind=coco", "data.train_ann=annotations/trian.json"), "data.train_ann=annotations/trian.json"),
        (("hw=8gpu",), "hw.num_procs=8: this machine has"),
        (("model.weights=backbone",), "Type model.weights=none|type model.weights=none"),
        (("+aug.train.odd.type=RandmFlip",), "Did you mean .*RandomFlip"),
        (("+aug.train.flip2.type=RandomFlip", "+aug.train.flip2.probability=0.5"), "probability"),
        (("resume=true", "work_dir=runs/none"), "there is no run in it"),
        (("tracking.uri=./mlruns",), "tracking.uri=sqlite:///"),
        (("tracking.uri=http://127.0.0.1:1",), "tracking.uri=http://127.0.0.1:1"),
    ],
)
def test_bad_words_are_refused_before_anything_is_written(
    workplace: Workplace, words: tuple[str, ...], message: str
) -> None:
    import re

    printed = workplace.run(*words, expect=1)
    assert re.search(message, printed), printed
    assert "Traceback" not in printed
    assert {path.name for path in workplace.folder.iterdir()} <= {"data"}, "nothing half-written"


def test_a_folder_of_another_run_is_refused(workplace: Workplace, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    printed = workplace.run(f"work_dir={other}", expect=1)
    assert "belongs to another run. Type resume=true" in printed
    assert [path.name for path in other.iterdir()] == ["notes.txt"]


@pytest.mark.fault("broken images among the training data", "left out, named and counted, up to a limit")
def test_an_image_that_cannot_be_decoded_is_left_out_and_counted(
    workplace: Workplace, digits: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "digits"
    shutil.copytree(digits, broken)
    images = json.loads((broken / "annotations/train.json").read_text())["images"]
    # Not in the sample that is looked at beforehand, which is spread from the first to the last.
    victim = broken / "images" / images[5]["file_name"]
    victim.write_bytes(b"no image")
    printed = workplace.run(
        f"data.root={broken}", "data.kind=coco", f"work_dir={tmp_path / 'run'}", "export=none", "tracking=none"
    )
    assert victim.name in printed
    assert (tmp_path / "run/skipped_images.txt").read_text().count(victim.name) == 1
    refused = workplace.run(
        f"data.root={broken}",
        "data.kind=coco",
        f"work_dir={tmp_path / 'strict'}",
        "export=none",
        "tracking=none",
        "data.max_bad_images=0",
        expect=1,
    )
    assert "data.max_bad_images" in refused and victim.name in refused
