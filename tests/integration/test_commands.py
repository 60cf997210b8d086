"""Test, threshold and predict on a real run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from workplace import Workplace

pytestmark = pytest.mark.slow
ARTIFACT = "artifact=runs/one/export/model.ts"


def run_of(finished: Workplace) -> tuple[MlflowClient, Run]:
    client = MlflowClient(f"sqlite:///{finished.folder}/mlflow.db")
    return client, client.get_run(json.loads((finished.folder / "runs/one/run.json").read_text())["run_id"])


def test_checkpoint_and_artifact_are_evaluated_side_by_side(finished: Workplace) -> None:
    printed = finished.run("run=runs/one", ARTIFACT, "split=val", module="test", tiny=False, fresh=True)
    assert "val: 8 images" in printed
    rows = re.findall(r"^ *(checkpoint|model\.ts) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)", printed, re.MULTILINE)
    assert [row[0] for row in rows] == ["checkpoint", "model.ts"]
    _, run = run_of(finished)
    metrics = run.data.metrics
    assert metrics["best_val/bbox_mAP"] == pytest.approx(metrics["val/bbox_mAP"], abs=1e-9), "as its training scored it"
    assert metrics["best_val/model.ts/bbox_mAP"] == pytest.approx(metrics["best_val/bbox_mAP"], abs=1e-3)
    assert {"best_val/AP/3", "best_val/latency_ms", "best_val/model.ts/latency_ms"} <= set(metrics)


def test_thresholds_are_chosen_measured_drawn_and_recorded(finished: Workplace) -> None:
    words = ("run=runs/one", ARTIFACT, "threshold=min_recall", "threshold.min_support=3", "data.limit_val=8")
    printed = finished.run(*words, "threshold.nms_iou=[0.5,0.7]", module="threshold", tiny=False, fresh=True)
    folder = finished.folder / "runs/one/thresholds"
    written = json.loads((folder / "thresholds.json").read_text())
    assert list(written["thresholds"]) == written["classes"] == [str(number) for number in range(10)]
    assert written["rule"]["rule"] == "min_recall" and written["nms_iou"] in (0.5, 0.7)
    assert written["measured_on"] == "test" and written["measured_all"]["support"] > 100
    for name, searched in written["searched_on"].items():
        if searched["support"] < 3:
            assert searched["note"] == f"{searched['support']} of 3 examples: the common threshold"
            assert written["thresholds"][name] == written["global"]
    assert "NMS IoU 0.7" in printed and re.search(r"^ *all .*\[", printed, re.MULTILINE)
    client, run = run_of(finished)
    assert run.data.metrics["threshold/global"] == pytest.approx(written["global"])
    names = {Path(entry.path).name for entry in client.list_artifacts(run.info.run_id, "thresholds")}
    assert {"thresholds.json", "precision_recall.png", "003_3.png"} <= names


def test_predictions_go_on_after_a_kill_and_come_out_as_if_there_was_none(
    finished: Workplace, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number, path in enumerate(sorted((finished.folder / "data/digits/images").rglob("*.*g"))[:60]):
        (images / f"{number:03d}{path.suffix}").symlink_to(path.resolve())
    (images / "030.png").write_bytes(b"no image")
    words = ("run=runs/one", f"images={images}", "batch_size=1", "score_thr=0.005")

    process = finished.start(*words, f"out={tmp_path}/cut", module="predict", tiny=False)
    journal = tmp_path / "cut/predictions.jsonl"
    eventually(lambda: journal.is_file() and journal.read_bytes().count(b"\n") > 5)
    process.kill()
    process.communicate()
    done = journal.read_bytes().count(b"\n") - 1
    assert 5 <= done < 61, "it was killed in the middle"
    finished.run(*words, f"out={tmp_path}/cut", module="predict", tiny=False)
    printed = finished.run(*words, f"out={tmp_path}/whole", "draw=true", module="predict", tiny=False)

    assert "60 images predicted" in printed and "1 could not be used: 030.png (it cannot be decoded)" in printed
    cut, whole = (json.loads((tmp_path / name / "predictions.json").read_text()) for name in ("cut", "whole"))
    assert cut["images"] == whole["images"] and cut["annotations"] == whole["annotations"]
    assert len(whole["annotations"]) > 60 and min(item["score"] for item in whole["annotations"]) >= 0.005
    assert len(list((tmp_path / "whole/drawn").iterdir())) == 60
    again = finished.run(*words, f"out={tmp_path}/cut", module="predict", tiny=False)
    assert "is complete already" in again
    other = finished.run(*words[:2], f"out={tmp_path}/cut", module="predict", tiny=False, expect=1)
    assert "it holds predictions with another score_thr" in other


@pytest.mark.parametrize(
    ("module", "words", "message"),
    [
        ("test", ("run=runs/one", "artifact=runs/one/best.ts"), "There is no exported model at runs/one/best.ts"),
        ("test", ("run=runs/one", "split=tset"), "split=tset"),
        ("test", (ARTIFACT, "data=coco", "data.root=OTHER", "data.val_ann=val.json"), "its classes are cat; those of"),
        ("threshold", ("run=runs/one", "threshold.iou=2"), "threshold.iou=2.0: has to be over 0, and 1 at most"),
        ("predict", ("run=runs/one", "images=data", "out=/dev/null/x"), "/dev/null is a file"),
    ],
)
def test_bad_words_are_refused(
    finished: Workplace, tmp_path: Path, module: str, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
    image = {"id": 1, "file_name": "a.png", "width": 9, "height": 9}
    document = {"images": [image], "categories": [{"id": 1, "name": "cat"}], "annotations": [box]}
    (tmp_path / "val.json").write_text(json.dumps(document))
    typed = [word.replace("OTHER", str(tmp_path)) for word in words]
    printed = finished.run(*typed, module=module, tiny=False, expect=1)
    assert message in printed and "Traceback" not in printed, printed
    assert not (finished.folder / "predictions").exists()
