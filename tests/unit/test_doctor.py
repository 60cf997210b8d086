from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mmengine.fileio as fileio
import pytest

from vision_research.storage.s3.settings import S3Settings

WIDE = {"COLUMNS": "200"}
DOCTOR = [sys.executable, "-m", "vision_research.doctor"]


@pytest.mark.slow
def test_it_exits_with_1_and_prints_the_remedy_when_the_store_is_away(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DOCTOR, "tracking.uri=http://127.0.0.1:9", f"work_dir={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stderr
    assert "Start the server: mlflow server --host 127.0.0.1 --port 9" in done.stdout
    rows = [line.split()[:2] for line in done.stdout.splitlines()]
    assert ["ok", "python"] in rows
    assert ["error", "mlflow"] in rows


def test_it_names_the_words_that_it_takes() -> None:
    done = subprocess.run([*DOCTOR, "workdir=x"], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "workdir: type one of tracking.uri=..., data.root=..., work_dir=..., " in done.stderr


@pytest.mark.slow
def test_it_proves_that_s3_can_be_read_and_written(bucket: str, s3_settings: S3Settings, tmp_path: Path) -> None:
    fileio.put(bytes(100_000), f"{bucket}/coco/image.jpg")
    words = [f"data.root={bucket}/coco", "storage=s3", f"storage.endpoint_url={s3_settings.endpoint_url}"]
    store = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    done = subprocess.run([*DOCTOR, *words, store], capture_output=True, text=True, check=False, env=WIDE | os.environ)

    rows = {" ".join(line.split()[:3]): line for line in done.stdout.splitlines()}
    assert "1 objects, the first page in" in rows["ok data.root list"]
    assert "ms a request" in rows["ok data.root read"]
    assert "read back equal, removed" in rows["ok data.root write"]
    assert list(fileio.list_dir_or_file(bucket, recursive=True)) == ["coco", "coco/image.jpg"]
