"""A real MLflow server that is killed, hangs and comes back; and a SQLite store that many commands make at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import Run

from vision_research import track
from vision_research.tracking.run import TrackingSettings, start_run
from vision_research.tracking.store_checks import check_store
from vision_research.tracking.tracked_run import TrackedRun
from vision_research.work_dir import WorkDir

pytestmark = pytest.mark.slow

# What a rank does, without torch: it writes losses, waits to be told to go on, and writes the rest.
RANK = """
import sys, time
from pathlib import Path
from vision_research.tracking.spool import SpoolWriter

spool, go_on = Path(sys.argv[1]), Path(sys.argv[2])
writer = SpoolWriter(spool, segment_bytes=20_000)
for step in range(1000):
    writer.metrics({"train/loss": float(step), "train/lr": 0.1}, step)
    if step == 300:
        print("ready", flush=True)
        while not go_on.exists():
            time.sleep(0.01)
writer.metrics({"val/bbox_mAP": 0.5}, 1000, essential=True)
writer.close()
"""


class Server:
    """One MLflow server in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        off = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **off}, start_new_session=True, cwd=self.folder
            )

    def wait_until_ready(self, timeout_s: float = 120) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with suppress(requests.RequestException):
                if requests.get(f"{self.uri}/health", timeout=2).ok:
                    return
            time.sleep(0.2)
        raise TimeoutError((self.folder / "server.log").read_text()[-3000:])

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server"))
    running.start()
    try:
        running.wait_until_ready()
        yield running
    finally:
        with suppress(ProcessLookupError):
            running.send(signal.SIGCONT)
            running.kill()


@pytest.fixture
def work_dir(tmp_path: Path) -> WorkDir:
    root = tmp_path / "runs" / "first"
    root.mkdir(parents=True)
    work_dir = WorkDir(root)
    work_dir.owner_lock.touch()
    return work_dir


@pytest.fixture
def run(server: Server, work_dir: WorkDir) -> TrackedRun:
    settings = TrackingSettings(server.uri, "bccd", request_timeout_s=2)
    return start_run(settings, work_dir, {"lr": "0.004"}, {"mlflow.user": "ada"})


@pytest.fixture
def rank(work_dir: WorkDir, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has written 301 records and waits for the file `go_on`."""
    command = [sys.executable, "-c", RANK, str(work_dir.spool), str(tmp_path / "go_on")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def steps(run: TrackedRun, key: str = "train/loss") -> list[int]:
    return sorted(metric.step for metric in MlflowClient(run.record.uri).get_metric_history(run.run_id, key))


def stored(run: TrackedRun) -> Run:
    return MlflowClient(run.record.uri).get_run(run.run_id)


def wait_for(num_losses: int, run: TrackedRun) -> None:
    deadline = time.monotonic() + 30
    while len(steps(run)) < num_losses:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.fault("the MLflow server hangs", "the training goes on; every record is delivered later")
def test_a_server_that_hangs_delays_nothing_but_delivery(
    server: Server, run: TrackedRun, rank: subprocess.Popen[bytes], work_dir: WorkDir, tmp_path: Path
) -> None:
    run.start_delivery(interval_s=0.2)
    wait_for(301, run)
    server.send(signal.SIGSTOP)
    try:
        (tmp_path / "go_on").touch()
        assert rank.wait(60) == 0  # every write returned while the server hung
        (work_dir.root / "best.pth").write_bytes(b"weights" * 1000)
        run.log_artifact(work_dir.root / "best.pth", "checkpoints")
        delivery = run.finish("FAILED", "the loss is NaN at step 1000", patience_s=1)
        assert not delivery.complete
        assert "timed out" in (delivery.problem or "")
        assert track.main(["sync", str(work_dir.root)]) == 1
        problem = check_store(server.uri, 1)
        assert problem is not None
        assert "tracking=none" in problem
    finally:
        server.send(signal.SIGCONT)
    assert track.main(["sync", str(work_dir.root)]) == 0
    assert steps(run) == list(range(1000))
    assert steps(run, "val/bbox_mAP") == [1000]
    found = stored(run)
    assert found.info.status == "FAILED"
    assert found.data.tags["status_cause"] == "the loss is NaN at step 1000"
    listed = MlflowClient(server.uri).list_artifacts(run.run_id, "checkpoints")
    assert [(file.path, file.file_size) for file in listed] == [("checkpoints/best.pth", 7000)]
    assert check_store(server.uri, 5) is None


@pytest.mark.fault("SIGKILL of the MLflow server, which comes back", "it has the whole history")
def test_a_server_that_dies_and_comes_back_has_the_whole_history(
    server: Server, run: TrackedRun, rank: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    run.start_delivery(interval_s=0.2)
    wait_for(301, run)
    server.kill()
    server.start()
    (tmp_path / "go_on").touch()
    assert rank.wait(60) == 0
    server.wait_until_ready()
    delivery = run.finish("FINISHED", patience_s=30)
    assert delivery.complete
    assert steps(run) == list(range(1000))
    assert steps(run, "train/lr") == list(range(1000))
    found = stored(run)
    assert (found.info.status, found.data.params["lr"]) == ("FINISHED", "0.004")
    assert found.data.metrics["val/bbox_mAP"] == 0.5


@pytest.mark.fault("SIGKILL of a command with a server", "`track sync` ends the run as KILLED")
def test_a_command_that_is_killed_leaves_a_run_that_sync_ends(server: Server, work_dir: WorkDir) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from vision_research.tracking.run import TrackingSettings, start_run
from vision_research.tracking.spool import SpoolWriter
from vision_research.work_dir import WorkDir

work_dir = WorkDir(Path(sys.argv[1]))
run = start_run(TrackingSettings(sys.argv[2], "bccd"), work_dir, {}, {})
writer = SpoolWriter(work_dir.spool)
for step in range(50):
    writer.metrics({"train/loss": 1.0, "train/nan": float("nan"), "train/inf": float("-inf")}, step)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code, str(work_dir.root), server.uri], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert track.main(["sync", "--root", str(work_dir.root.parent)]) == 0
    client = MlflowClient(server.uri)
    (experiment,) = client.search_experiments(filter_string="name = 'bccd'")
    (found,) = client.search_runs([experiment.experiment_id], "tags.status_cause = 'the command was killed'")
    assert found.info.status == "KILLED"
    history = [client.get_metric_history(found.info.run_id, f"train/{key}") for key in ("loss", "nan", "inf")]
    assert [len(metrics) for metrics in history] == [50, 50, 50]
    assert history[1][0].value != history[1][0].value
    assert history[2][0].value < -1e308


@pytest.mark.fault("commands create one SQLite database at once", "all of them record")
def test_commands_that_start_together_share_one_new_database(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from vision_research.tracking.run import TrackingSettings, start_run
from vision_research.work_dir import WorkDir

root = Path(sys.argv[1])
root.mkdir()
run = start_run(TrackingSettings(sys.argv[2], "sweep"), WorkDir(root), {"lr": "1"}, {})
run.log_metrics({"val/bbox_mAP": 0.5}, 1)
assert run.finish("FINISHED").complete
"""
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    jobs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / str(job)), uri]) for job in range(2)]
    assert [job.wait(120) for job in jobs] == [0, 0]
    client = MlflowClient(uri)
    (experiment,) = client.search_experiments(filter_string="name = 'sweep'")
    runs = client.search_runs([experiment.experiment_id])
    assert [found.info.status for found in runs] == ["FINISHED"] * 2
    assert experiment.artifact_location == f"file://{tmp_path}/new/mlartifacts"
