"""The copy of a run's folder in S3: what is there at any time can be resumed from."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import mmengine.fileio as fileio
import pytest
from s3_proxy import Fault, S3Proxy

from vision_research.storage.s3.errors import S3Error
from vision_research.storage.s3.mirror import Mirror, MirrorThread, download_run, has_run
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.transfer import is_uploaded, publish, upload_verified
from vision_research.storage.s3.uri import S3Uri
from vision_research.work_dir import WorkDir


@pytest.fixture
def run(tmp_path: Path) -> WorkDir:
    """A run's folder before its first checkpoint."""
    work_dir = WorkDir(tmp_path / "run")
    (work_dir.root / "logs").mkdir(parents=True)
    work_dir.spool.mkdir()
    for path in (work_dir.config_py, work_dir.overrides, work_dir.root / "logs" / "a.log", work_dir.spool / "1"):
        path.write_text(path.name)
    return work_dir


def checkpoint(work_dir: WorkDir, name: str, size: int = 1000) -> Path:
    path = work_dir.root / name
    path.write_bytes(os.urandom(size))
    newest = max(file.stat().st_mtime for file in work_dir.root.glob("*.pth"))
    os.utime(path, (newest + 1, newest + 1))
    return path


def listed(bucket: str) -> set[str]:
    return set(fileio.list_dir_or_file(f"{bucket}/run", list_dir=False, recursive=True))


@pytest.mark.slow
def test_checkpoints_go_up_and_old_ones_go(run: WorkDir, bucket: str, s3_settings: S3Settings) -> None:
    mirror = Mirror(run, S3Uri.parse(f"{bucket}/run"), s3_settings)
    mirror.abort_unfinished_uploads()
    mirror.update()
    assert listed(bucket) == {"config.py", "overrides.txt"}, "nothing to point at yet"

    first = checkpoint(run, "epoch_1.pth")
    mirror.update()
    assert fileio.get_text(f"{bucket}/run/last_checkpoint") == f"{bucket}/run/epoch_1.pth"

    checkpoint(run, "epoch_2.pth")
    checkpoint(run, "best_x_epoch_1.pth")
    first.unlink()
    mirror.update()
    names = {"config.py", "overrides.txt", "epoch_2.pth", "best_x_epoch_1.pth", "last_checkpoint"}
    assert listed(bucket) == names
    assert fileio.get_text(f"{bucket}/run/last_checkpoint") == f"{bucket}/run/epoch_2.pth"

    mirror.update(everything=True)
    assert listed(bucket) == names | {"logs/a.log"}, "no records that wait for MLflow, no passing files"


def test_a_checkpoint_written_again_goes_up_again(run: WorkDir, bucket: str, s3_settings: S3Settings) -> None:
    mirror = Mirror(run, S3Uri.parse(f"{bucket}/run"), s3_settings)
    checkpoint(run, "epoch_1.pth")
    mirror.update()
    again = checkpoint(run, "epoch_1.pth")
    mirror.update()

    assert fileio.get(f"{bucket}/run/epoch_1.pth") == again.read_bytes()


@pytest.mark.slow
def test_a_run_comes_back(run: WorkDir, bucket: str, s3_settings: S3Settings, tmp_path: Path) -> None:
    remote = S3Uri.parse(f"{bucket}/run")
    assert not has_run(remote, s3_settings)
    mirror = Mirror(run, remote, s3_settings)
    for name in ("epoch_1.pth", "best_x_epoch_1.pth", "epoch_2.pth"):
        checkpoint(run, name)
    mirror.update(everything=True)
    back = WorkDir(tmp_path / "fresh" / "run")
    download_run(remote, back, s3_settings)

    assert has_run(remote, s3_settings)
    names = {"config.py", "overrides.txt", "epoch_2.pth", "best_x_epoch_1.pth"}
    assert {path.name for path in back.root.iterdir()} == names
    assert all((back.root / name).read_bytes() == (run.root / name).read_bytes() for name in names)


@pytest.mark.slow
def test_an_upload_in_parts_is_compared_with_the_file(run: WorkDir, bucket: str, s3_settings: S3Settings) -> None:
    large = checkpoint(run, "epoch_1.pth", size=40_000_000)
    uri = S3Uri.parse(f"{bucket}/run/epoch_1.pth")
    upload_verified(large, uri, s3_settings)

    assert is_uploaded(large, uri, s3_settings)
    with large.open("r+b") as file:
        file.seek(20_000_000)
        file.write(b"other")
    assert not is_uploaded(large, uri, s3_settings)


@pytest.mark.slow
@pytest.mark.fault("SIGKILL in the middle of an upload to S3", "no half of a checkpoint is in the bucket")
def test_an_upload_cut_off_leaves_no_half_checkpoint(run: WorkDir, bucket: str, s3_settings: S3Settings) -> None:
    checkpoint(run, "epoch_1.pth")
    mirror = Mirror(run, S3Uri.parse(f"{bucket}/run"), s3_settings)
    mirror.update()
    checkpoint(run, "epoch_2.pth", size=40_000_000)
    code = (
        "import os, sys, threading, time\n"
        "from pathlib import Path\n"
        "from vision_research.storage.s3.client import s3_client\n"
        "from vision_research.storage.s3.settings import S3Settings\n"
        "client = s3_client(S3Settings(endpoint_url=sys.argv[1]))\n"
        "client.meta.events.register('before-call.s3.CompleteMultipartUpload', lambda **_: os.kill(os.getpid(), 9))\n"
        "client.upload_file(sys.argv[2], sys.argv[3], 'run/epoch_2.pth')\n"
    )
    command = [sys.executable, "-c", code, str(s3_settings.endpoint_url), str(run.root / "epoch_2.pth"), bucket[5:]]
    killed = subprocess.run(command, check=False)
    client = boto3.client("s3", endpoint_url=s3_settings.endpoint_url)

    assert killed.returncode == -9
    assert "epoch_2.pth" not in listed(bucket)
    assert fileio.get_text(f"{bucket}/run/last_checkpoint") == f"{bucket}/run/epoch_1.pth"
    assert len(client.list_multipart_uploads(Bucket=bucket[5:])["Uploads"]) == 1
    mirror.abort_unfinished_uploads()
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket[5:]), "its parts, which cost money, are gone"


@pytest.mark.slow
@pytest.mark.fault("S3 is away while a run is copied there", "the copy is complete in the end")
def test_a_server_away_for_a_while_delays_the_copy(
    run: WorkDir, bucket: str, s3_settings: S3Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with S3Proxy(str(s3_settings.endpoint_url)) as proxy:
        proxy.fault = lambda method, path: Fault.unavailable
        settings = S3Settings(endpoint_url=proxy.endpoint, give_up_after_s=0.2)
        thread = MirrorThread(Mirror(run, S3Uri.parse(f"{bucket}/run"), settings), interval_s=0.05)
        checkpoint(run, "epoch_1.pth")
        with caplog.at_level(logging.WARNING):
            thread.start()
            while "is behind" not in caplog.text:
                thread.join(0.05)
            proxy.fault = lambda method, path: Fault.none
            thread.finish()

    assert caplog.text.count("is behind") == 1
    assert "epoch_1.pth" in listed(bucket)


@pytest.mark.fault("S3 is away at the end of a run", "the command ends as FAILED, the files stay here")
def test_a_copy_that_cannot_be_completed_is_an_error(run: WorkDir, s3_credentials: None) -> None:
    unreachable = S3Settings(endpoint_url="http://127.0.0.1:9", give_up_after_s=0.3)
    thread = MirrorThread(Mirror(run, S3Uri.parse("s3://bucket/run"), unreachable), interval_s=0.05)
    thread.start()

    with pytest.raises(S3Error, match="did not deliver s3:"):
        thread.finish()


def test_a_file_is_published_whole(tmp_path: Path, bucket: str, s3_settings: S3Settings) -> None:
    (tmp_path / "model.ts").write_bytes(b"model")

    assert publish(tmp_path / "model.ts", f"{bucket}/m/", s3_settings) == f"{bucket}/m/model.ts"
    assert publish(tmp_path / "model.ts", f"{bucket}/m/other.ts", s3_settings) == f"{bucket}/m/other.ts"
    assert fileio.get(f"{bucket}/m/model.ts") == fileio.get(f"{bucket}/m/other.ts") == b"model"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("aws") is None, reason="needs the AWS command line client")
def test_the_aws_client_reads_what_was_written(tmp_path: Path, bucket: str, s3_settings: S3Settings) -> None:
    (tmp_path / "a b+#.pth").write_bytes(bytes(40_000_000))
    address = publish(tmp_path / "a b+#.pth", f"{bucket}/m/", s3_settings)
    endpoint = ("--endpoint-url", str(s3_settings.endpoint_url))
    subprocess.run(["aws", *endpoint, "s3", "cp", address, str(tmp_path / "back")], check=True, capture_output=True)

    assert (tmp_path / "back").read_bytes() == bytes(40_000_000)
