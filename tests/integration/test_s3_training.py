"""Training straight from a bucket: a real server, real commands, nothing copied by hand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import boto3
import pytest
from s3_server import S3Server

pytestmark = pytest.mark.slow


@pytest.fixture
def words(s3_server: S3Server, s3_credentials: None, digits: Path, tmp_path: Path) -> tuple[str, ...]:
    """The embedded data in a bucket, and what to type for it."""
    fill(boto3.client("s3", endpoint_url=s3_server.endpoint), digits)
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


def fill(client: Any, digits: Path) -> None:
    """Put the embedded data into the bucket `digits`, if it is not there."""
    if not any(bucket["Name"] == "digits" for bucket in client.list_buckets()["Buckets"]):
        client.create_bucket(Bucket="digits")
        files = [path for path in digits.rglob("*") if path.is_file()]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda path: client.upload_file(str(path), "digits", f"d/{path.relative_to(digits)}"), files))


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
    printed = workplace.run(*words, "data.root=s3://nobucket/d", expect=1)
    assert "There is no bucket 'nobucket'" in printed


def test_a_run_kept_in_s3_goes_on_on_a_fresh_machine(workplace, words: tuple[str, ...], s3_server: S3Server) -> None:  # noqa: ANN001
    client = boto3.client("s3", endpoint_url=s3_server.endpoint)
    kept = ("tracking=mlflow", f"tracking.uri=sqlite:///{workplace.folder}/team.db", "schedule.max_epochs=1")
    printed = workplace.run(*words, *kept, "work_dir=s3://digits/runs/kept")
    there = {item["Key"] for item in client.list_objects_v2(Bucket="digits", Prefix="runs/kept/")["Contents"]}

    assert "copy in S3" in printed
    files = ("config.py", "run.json", "epoch_1.pth", "last_checkpoint", "outcome.json", "overrides.txt")
    assert {f"runs/kept/{name}" for name in files} <= there
    pointer = client.get_object(Bucket="digits", Key="runs/kept/last_checkpoint")["Body"].read()
    assert pointer == b"s3://digits/runs/kept/epoch_1.pth"

    shutil.rmtree(workplace.folder / "runs/kept")
    resumed = ("resume=s3://digits/runs/kept", f"storage.endpoint_url={s3_server.endpoint}", "schedule.max_epochs=2")
    printed = workplace.run(*resumed, tiny=False)

    assert "resuming" in printed and "epoch_1.pth (iteration 4)" in printed
    assert len(losses(workplace.folder / "runs/kept")) == 4, "only the second epoch was trained here"
    pointer = client.get_object(Bucket="digits", Key="runs/kept/last_checkpoint")["Body"].read()
    assert pointer == b"s3://digits/runs/kept/epoch_2.pth"
    refused = workplace.run(*words, "work_dir=s3://digits/runs/kept", "storage.runs=other", expect=1)
    assert "s3://digits/runs/kept holds another run. Type resume=s3://digits/runs/kept" in refused


def test_a_server_that_is_gone_ends_the_run_with_its_cause_and_a_checkpoint(
    workplace,  # noqa: ANN001
    own_s3_server: S3Server,
    s3_credentials: None,
    words: tuple[str, ...],
    digits: Path,
    eventually: Callable[..., None],
) -> None:
    fill(boto3.client("s3", endpoint_url=own_s3_server.endpoint), digits)
    own = [word for word in words if not word.startswith(("storage.endpoint_url", "storage.cache_dir"))]
    own += [f"storage.endpoint_url={own_s3_server.endpoint}", "storage.cache_dir=null", "storage.give_up_after_s=3"]
    own += ["schedule.max_epochs=60", "schedule.val_interval=60", "hw=2cpu", "tracking=mlflow", "work_dir=runs/gone"]
    process = workplace.start(*own, "tracking.uri=sqlite:///mlflow.db")
    folder = workplace.folder / "runs/gone"
    eventually(lambda: len(losses(folder)) >= 3)
    own_s3_server.kill()
    printed, _ = process.communicate(timeout=180)

    assert process.returncode == 1
    cause = json.loads((folder / "outcome.json").read_text())["cause"]
    assert re.fullmatch(
        rf"{own_s3_server.endpoint} did not deliver s3:GetObject on s3://digits/d/images/\S+ for 3 s .*", cause
    )
    assert f"FAILED ({cause})" in printed
    (saved,) = folder.glob("iter_*.pth")
    assert int(saved.stem.removeprefix("iter_")) >= 3
