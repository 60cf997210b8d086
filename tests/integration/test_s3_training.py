"""Training straight from a bucket: a real server, real commands, nothing copied by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import boto3
import pytest
from s3_server import S3Server

pytestmark = pytest.mark.slow


@pytest.fixture
def words(s3_server: S3Server, s3_credentials: None, digits: Path, tmp_path: Path) -> tuple[str, ...]:
    """The embedded data in a bucket, and what to type for it."""
    client = boto3.client("s3", endpoint_url=s3_server.endpoint)
    if not any(bucket["Name"] == "digits" for bucket in client.list_buckets()["Buckets"]):
        client.create_bucket(Bucket="digits")
        files = [path for path in digits.rglob("*") if path.is_file()]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda path: client.upload_file(str(path), "digits", f"d/{path.relative_to(digits)}"), files))
    data = ("data.root=s3://digits/d", "data.train_ann=annotations/train.json", "data.val_ann=annotations/val.json")
    return (
        "data=coco",
        *data,
        "data.img_prefix=images/",
        "storage=s3",
        f"storage.endpoint_url={s3_server.endpoint}",
        f"storage.cache_dir={tmp_path}/cache",
        "model.weights=none",
        "export=none",
        "tracking=none",
    )


def losses(folder: Path) -> list[float]:
    lines = [line for file in folder.glob("*/vis_data/scalars.json") for line in file.read_text().splitlines()]
    return [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]


def test_every_worker_of_every_rank_reads_from_s3(workplace, words: tuple[str, ...]) -> None:  # noqa: ANN001
    short = ("hw=2cpu", "data.num_workers=2", "schedule.max_epochs=1")
    local = [word.replace("s3://digits/d", "data/digits") for word in words if not word.startswith("storage")]
    workplace.run(*local, *short, "work_dir=runs/local")
    workplace.run(*words, *short, "work_dir=runs/s3")

    assert len(losses(workplace.folder / "runs/s3")) == 2
    assert losses(workplace.folder / "runs/s3") == losses(workplace.folder / "runs/local")


def test_stock_mmdetection_trains_the_same_config(workplace, words: tuple[str, ...]) -> None:  # noqa: ANN001
    folder = workplace.folder / "runs/s3"
    spec = find_spec("mmdet")
    assert spec is not None and spec.origin is not None
    tool = Path(spec.origin).parent / ".mim" / "tools" / "train.py"
    command = [sys.executable, str(tool), str(folder / "config.py"), "--work-dir", str(workplace.folder / "stock")]
    subprocess.run(command, cwd=workplace.folder, check=True, capture_output=True)

    assert len(losses(workplace.folder / "stock")) == 4


def test_a_misspelt_folder_is_named(workplace, words: tuple[str, ...]) -> None:  # noqa: ANN001
    printed = workplace.run(*words, "data.img_prefix=image/", expect=1)

    assert "data.img_prefix=image: there is no folder s3://digits/d/image" in printed
    assert "Type data.img_prefix=images" in printed
    printed = workplace.run(*words, "data.root=s3://nowhere/d", expect=1)
    assert "There is no bucket 'nowhere'" in printed
