"""Training straight from a bucket: a real server, real commands, nothing copied by hand."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import boto3
import pytest
from s3_server import CREDENTIALS, S3Server
from workplace import Workplace

pytestmark = pytest.mark.slow

DATA = ("data.train_ann=annotations/train.json", "data.val_ann=annotations/val.json", "data.img_prefix=images/")
PLAIN = ("model.weights=none", "export=none", "tracking=none")
TWO_RANKS = ("hw=2cpu", "data.num_workers=2", "schedule.max_epochs=1")
EXPERIMENT = """\
# @package _global_
defaults:
  - override /data: coco
data:
  root: s3://digits/d
  train_ann: annotations/train.json
  val_ann: annotations/val.json
  img_prefix: images/
"""


@pytest.fixture(scope="module")
def place(workplace: Workplace, digits: Path, s3_server: S3Server) -> Iterator[Any]:
    """The embedded data in the bucket `digits`, beside it an experiment that names them, and credentials for all."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in CREDENTIALS.items():
            environment.setenv(name, value)
        client = boto3.client("s3", endpoint_url=s3_server.endpoint)
        fill(client, digits)
        client.put_object(Bucket="digits", Key="experiments/team.yaml", Body=EXPERIMENT.encode())
        yield client


@pytest.fixture(scope="module")
def words(place: Any, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """What to type to train on them: the experiment, and how S3 is reached."""
    cache = tmp_path_factory.mktemp("cache")
    return ("experiment=s3://digits/experiments/team.yaml", *reached(s3_server), f"storage.cache_dir={cache}", *PLAIN)


@pytest.fixture(scope="module")
def kept(workplace: Workplace, words: tuple[str, ...]) -> str:
    """What was printed by a training from S3 whose folder, `runs/kept`, has a copy there."""
    tracked = ("tracking=mlflow", f"tracking.uri=sqlite:///{workplace.folder}/team.db")
    return str(workplace.run(*words, *tracked, *TWO_RANKS, "work_dir=s3://digits/runs/kept"))


def reached(server: S3Server) -> tuple[str, ...]:
    return ("storage=s3", f"storage.endpoint_url={server.endpoint}")


def fill(client: Any, digits: Path) -> None:
    """Make the bucket `digits`, and put the embedded data into it."""
    client.create_bucket(Bucket="digits")
    files = [path for path in digits.rglob("*") if path.is_file()]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: client.upload_file(str(path), "digits", f"d/{path.relative_to(digits)}"), files))


def losses(folder: Path) -> list[float]:
    lines = [line for file in folder.glob("*/vis_data/scalars.json") for line in file.read_text().splitlines()]
    return [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]


def test_every_worker_of_every_rank_reads_from_s3(workplace: Workplace, kept: str) -> None:
    workplace.run("data=coco", *DATA, "data.root=data/digits", *PLAIN, *TWO_RANKS, "work_dir=runs/local")

    assert len(losses(workplace.folder / "runs/kept")) == 2
    assert losses(workplace.folder / "runs/kept") == losses(workplace.folder / "runs/local")


def test_stock_mmdetection_trains_the_same_config(workplace: Workplace, kept: str) -> None:
    folder = workplace.folder / "runs/kept"
    spec = find_spec("mmdet")
    assert spec is not None and spec.origin is not None
    tool = Path(spec.origin).parent / ".mim" / "tools" / "train.py"
    command = [sys.executable, str(tool), str(folder / "config.py"), "--work-dir", str(workplace.folder / "stock")]
    subprocess.run(command, cwd=workplace.folder, check=True, capture_output=True)

    assert len(losses(workplace.folder / "stock")) == 4


def test_a_misspelt_folder_is_named(workplace: Workplace, words: tuple[str, ...]) -> None:
    printed = workplace.run(*words, "data.img_prefix=image/", expect=1)

    assert "data.img_prefix=image: there is no folder s3://digits/d/image" in printed
    assert "Type data.img_prefix=images" in printed
    printed = workplace.run(*words, "data.root=s3://nobucket/d", expect=1)
    assert "There is no bucket 'nobucket'" in printed


class Harmful:
    def __reduce__(self) -> Any:
        return os.mkdir, ("harmed",)


def test_a_bare_checkpoint_in_s3_serves_every_command(
    workplace: Workplace,
    kept: str,
    place: Any,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(workplace.folder / "torch"))
    place.put_object(Bucket="digits", Key="harmful.pth", Body=pickle.dumps({"state_dict": Harmful()}))
    bare = ("config=s3://digits/runs/kept/config.py", *reached(s3_server)[1:])
    whole = ("checkpoint=s3://digits/runs/kept/epoch_1.pth", *bare)

    tested = workplace.run(*whole, module="test", tiny=False)
    assert re.search(r"val: 8 images", tested) and re.search(r"checkpoint +\d\.\d{4}", tested)
    exported = workplace.run(*whole, "export.num_images=2", module="export", tiny=False)
    assert str(workplace.folder / "runs/epoch_1/export/model.ts") in exported and "verified" in exported
    workplace.run(*whole, "images=s3://digits/d/images", "out=found", module="predict", tiny=False)
    assert (workplace.folder / "found/predictions.json").is_file()

    refused = workplace.run("checkpoint=s3://digits/harmful.pth", *bare, module="test", tiny=False, expect=1)
    assert "holds more than weights" in refused and "trust_checkpoint=true" in refused
    assert not (workplace.folder / "harmed").exists()


def test_a_run_kept_in_s3_goes_on_on_a_fresh_machine_from_a_pack(
    workplace: Workplace,
    kept: str,
    words: tuple[str, ...],
    place: Any,
    s3_server: S3Server,
) -> None:
    there = {item["Key"] for item in place.list_objects_v2(Bucket="digits", Prefix="runs/kept/")["Contents"]}

    assert "copy in S3" in kept
    files = ("config.py", "run.json", "epoch_1.pth", "last_checkpoint", "outcome.json", "overrides.txt")
    assert {f"runs/kept/{name}" for name in files} <= there
    assert pointer(place) == b"s3://digits/runs/kept/epoch_1.pth"

    packing = ("data=coco", *DATA, "data.root=s3://digits/d", "out=s3://digits/packed", *reached(s3_server))
    assert "storage.packed=true" in workplace.run(*packing, module="pack", tiny=False, fresh=True)
    shutil.rmtree(workplace.folder / "runs/kept")
    resumed = ("resume=s3://digits/runs/kept", *reached(s3_server), "schedule.max_epochs=2")
    printed = workplace.run(*resumed, "data.root=s3://digits/packed", "storage.packed=true", tiny=False)

    assert "resuming" in printed and "epoch_1.pth (iteration 2)" in printed
    assert len(losses(workplace.folder / "runs/kept")) == 2, "only the second epoch was trained here"
    assert pointer(place) == b"s3://digits/runs/kept/epoch_2.pth"
    refused = workplace.run(*words, "work_dir=s3://digits/runs/kept", "storage.runs=other", expect=1)
    assert "s3://digits/runs/kept holds another run. Type resume=s3://digits/runs/kept" in refused


def pointer(client: Any) -> bytes:
    body: bytes = client.get_object(Bucket="digits", Key="runs/kept/last_checkpoint")["Body"].read()
    return body


@pytest.mark.fault("S3 is gone in the middle of a training", "FAILED with the cause, and a checkpoint to resume from")
def test_a_server_that_is_gone_ends_the_run_with_its_cause_and_a_checkpoint(
    workplace: Workplace,
    own_s3_server: S3Server,
    place: Any,
    digits: Path,
    eventually: Callable[..., None],
) -> None:
    fill(boto3.client("s3", endpoint_url=own_s3_server.endpoint), digits)
    own = ["data=coco", *DATA, "data.root=s3://digits/d", *PLAIN, *reached(own_s3_server), *TWO_RANKS]
    own += ["storage.cache_dir=null", "storage.give_up_after_s=3", "schedule.val_interval=60", "work_dir=runs/gone"]
    process = workplace.start(
        *own, "schedule.max_epochs=60", "tracking=mlflow", f"tracking.uri=sqlite:///{workplace.folder}/team.db"
    )
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
