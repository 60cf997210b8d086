"""The export command on a real run, and its refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import pytest
import torch
from mlflow import MlflowClient
from workplace import Workplace

pytestmark = pytest.mark.slow


def pictures(finished: Workplace) -> list[Path]:
    return sorted((finished.folder / "data/digits/images").rglob("*.*g"))


def test_a_run_is_exported_verified_and_recorded(finished: Workplace) -> None:
    words = ("run=runs/one", "export=torchscript", "export.shape=[70,90]", "export.verify=true", "export.num_images=2")
    printed = finished.run(*words, "export.output=out/wide.ts", module="export", tiny=False, fresh=True)

    assert re.search(r"artifact +\S+/out/wide.ts", printed) and "of the detector in Python" in printed
    assert {path.name for path in (finished.folder / "out").iterdir()} == {"wide.ts", "wide.ts.json"}
    manifest = json.loads((finished.folder / "out/wide.ts.json").read_text())
    assert manifest["input"]["canvas"] == {"height": 70, "width": 90}
    image = pictures(finished)[0]
    boxes, scores, labels = torch.jit.load(finished.folder / "out/wide.ts")(torch.from_numpy(cv2.imread(str(image))))
    assert boxes.shape == (len(scores), 4) and len(labels) == len(scores)

    run_id = json.loads((finished.folder / "runs/one/run.json").read_text())["run_id"]
    assert manifest["run_id"] == run_id
    files = MlflowClient(f"sqlite:///{finished.folder}/mlflow.db").list_artifacts(run_id, "model")
    assert {"model/wide.ts", "model/wide.ts.json"} <= {file.path for file in files}


def test_a_run_of_mlflow_and_a_bare_checkpoint_give_the_same_model(finished: Workplace, tmp_path: Path) -> None:
    run_id = json.loads((finished.folder / "runs/one/run.json").read_text())["run_id"]
    checkpoint = next((finished.folder / "runs/one").glob("best_*.pth"))
    images = tmp_path / "images"
    images.mkdir()
    for path in pictures(finished)[:3]:
        (images / path.name).symlink_to(path.resolve())
    fetched = (f"run=runs:/{run_id}", f"storage.runs={tmp_path}/fetched", f"export.output={tmp_path}/a.ts")
    bare = (
        f"checkpoint={checkpoint}",
        "config=runs/one/config.py",
        f"images={images}",
        f"export.output={tmp_path}/b.ts",
    )
    for words in (fetched, bare):
        finished.run(*words, "export.num_images=2", module="export", tiny=False)

    assert (tmp_path / "fetched" / run_id / checkpoint.name).is_file()
    picture = torch.from_numpy(cv2.imread(str(pictures(finished)[1])))
    ours, theirs = (torch.jit.load(tmp_path / name)(picture) for name in ("a.ts", "b.ts"))
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    assert json.loads(Path(tmp_path / "b.ts.json").read_text())["run_id"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run=runs/one", "export.shap=[64,64]"), "there is no key 'shap' in 'export'. Did you mean export.shape?"),
        (("run=runs/one", "export=none"), "Type export=torchscript"),
        (("run=runs/one", "export.shape=[0,70]"), "is [height, width], dynamic or null. Type export.shape=[640,640]"),
        (("run=runs/one", "export.output=/dev/null/model.ts"), "/dev/null is a file"),
        (("run=runs/one", "images=runs/one/spool"), "no image is in it"),
        (("run=runs/one", "data.root=nowhere"), "data.root=nowhere: there is no folder"),
    ],
)
def test_bad_words_leave_nothing_behind(finished: Workplace, words: tuple[str, ...], message: str) -> None:
    before = sorted(path for path in finished.folder.rglob("*") if "mlartifacts" not in path.parts)
    printed = finished.run(*words, module="export", tiny=False, expect=1)
    assert message in printed and "Traceback" not in printed, printed
    assert sorted(path for path in finished.folder.rglob("*") if "mlartifacts" not in path.parts) == before
