from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from mlflow import MlflowClient

from vision_research.tracking.client import MAX_METRICS_PER_BATCH, Store
from vision_research.tracking.connection import StoreUnavailable
from vision_research.tracking.delivery import deliver
from vision_research.tracking.delivery_thread import DeliveryThread
from vision_research.tracking.records import Metrics
from vision_research.tracking.run import TrackingSettings, start_run
from vision_research.tracking.spool import SpoolWriter, segments
from vision_research.tracking.spool_reader import delivery_lock
from vision_research.tracking.tracked_run import TrackedRun
from vision_research.work_dir import WorkDir


class FlakyStore(Store):
    """A real store that can be switched off."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri, 5)
        self.takes_metrics = True
        self.takes_artifacts = True
        self.num_batches = 0

    def log_metrics(self, run_id: str, records: Sequence[Metrics]) -> None:
        if not self.takes_metrics:
            raise StoreUnavailable("switched off")
        self.num_batches += 1
        super().log_metrics(run_id, records)

    def log_artifact(self, run_id: str, path: Path, artifact_path: str) -> None:
        if not self.takes_artifacts:
            raise StoreUnavailable("no bucket")
        super().log_artifact(run_id, path, artifact_path)


@pytest.fixture
def run(settings: TrackingSettings, work_dir: WorkDir) -> TrackedRun:
    return start_run(settings, work_dir, {}, {})


@pytest.fixture
def store(settings: TrackingSettings) -> FlakyStore:
    return FlakyStore(settings.uri)


def history(run: TrackedRun, key: str = "train/loss") -> list[tuple[int, float]]:
    metrics = MlflowClient(run.record.uri).get_metric_history(run.run_id, key)
    return sorted((metric.step, metric.value) for metric in metrics)


def write_losses(work_dir: WorkDir, first: int, last: int) -> SpoolWriter:
    writer = SpoolWriter(work_dir.spool, segment_bytes=4_000)
    for step in range(first, last):
        writer.metrics({"train/loss": float(step)}, step)
    return writer


def test_the_limit_of_a_request_is_mlflows() -> None:
    from mlflow.utils import validation

    assert MAX_METRICS_PER_BATCH == validation.MAX_METRICS_PER_BATCH


@pytest.mark.slow
def test_a_batch_that_goes_out_twice_arrives_once(run: TrackedRun, work_dir: WorkDir, store: FlakyStore) -> None:
    writer = write_losses(work_dir, 0, 30)
    writer.metrics({"train/loss": float("nan"), "train/lr": float("inf")}, 30)
    before = shutil.copytree(work_dir.spool, work_dir.root / "before")
    assert deliver(run.record, work_dir.spool, store).complete
    shutil.rmtree(work_dir.spool)
    before.rename(work_dir.spool)  # as if the command was killed between MLflow's answer and delivered.json
    assert deliver(run.record, work_dir.spool, store).complete
    assert [step for step, _ in history(run)] == list(range(31))
    assert len(history(run, "train/lr")) == 1


def test_many_records_share_a_request(run: TrackedRun, work_dir: WorkDir, store: FlakyStore) -> None:
    writer = SpoolWriter(work_dir.spool)
    for step in range(250):
        writer.metrics({f"train/loss_{i}": 1.0 for i in range(10)}, step)
    deliver(run.record, work_dir.spool, store)
    assert store.num_batches == 3
    assert len(history(run, "train/loss_9")) == 250


def test_one_record_may_hold_more_values_than_a_request(run: TrackedRun, work_dir: WorkDir, store: FlakyStore) -> None:
    per_class = {f"val/AP/{i}": i / 1203 for i in range(1203)}
    SpoolWriter(work_dir.spool).metrics(per_class, 5, essential=True)
    assert deliver(run.record, work_dir.spool, store).complete
    assert history(run, "val/AP/1202") == [(5, 1202 / 1203)]


def test_any_number_of_params_and_tags_arrives(run: TrackedRun, work_dir: WorkDir, store: FlakyStore) -> None:
    writer = SpoolWriter(work_dir.spool)
    writer.params({f"param_{i}": "x" * 7000 for i in range(250)})
    writer.tags({f"tag_{i}": "x" * 9000 for i in range(250)})
    assert deliver(run.record, work_dir.spool, store).complete
    data = MlflowClient(run.record.uri).get_run(run.run_id).data
    assert (len(data.params), data.params["param_249"]) == (250, "x" * 5997 + "...")
    assert data.tags["tag_249"] == "x" * 7997 + "..."


def test_what_the_store_does_not_take_waits(run: TrackedRun, work_dir: WorkDir, store: FlakyStore) -> None:
    store.takes_metrics = False
    write_losses(work_dir, 0, 100)
    outcome = deliver(run.record, work_dir.spool, store)
    assert (outcome.pending, outcome.problem, outcome.complete) == (101, "switched off", False)  # the status too
    store.takes_metrics = True
    assert deliver(run.record, work_dir.spool, store).complete
    assert [step for step, _ in history(run)] == list(range(100))


@pytest.mark.fault("MLflow's artifact store is broken", "metrics arrive, artifacts wait")
def test_a_broken_artifact_store_does_not_hold_up_metrics(
    run: TrackedRun, work_dir: WorkDir, store: FlakyStore
) -> None:
    (work_dir.root / "best.pth").write_bytes(b"weights")
    store.takes_artifacts = False
    run.log_artifact(work_dir.root / "best.pth", "checkpoints")
    write_losses(work_dir, 0, 50)
    assert deliver(run.record, work_dir.spool, store).problem == "no bucket"
    write_losses(work_dir, 50, 80)
    assert deliver(run.record, work_dir.spool, store).pending == 2  # the artifact and the status behind it
    assert len(history(run)) == 80
    store.takes_artifacts = True
    assert deliver(run.record, work_dir.spool, store).complete
    listed = MlflowClient(run.record.uri).list_artifacts(run.run_id, "checkpoints")
    assert [(file.path, file.file_size) for file in listed] == [("checkpoints/best.pth", 7)]


@pytest.mark.fault("a file is removed before it is uploaded", "named in a tag; the rest arrives")
def test_a_file_that_is_gone_is_named_and_blocks_nothing(run: TrackedRun, work_dir: WorkDir, store: FlakyStore) -> None:
    run.log_artifact(work_dir.root / "epoch_1.pth", "checkpoints")
    run.log_artifact(work_dir.root / "epoch_2.pth")
    write_losses(work_dir, 0, 3)
    assert deliver(run.record, work_dir.spool, store).complete
    tags = MlflowClient(run.record.uri).get_run(run.run_id).data.tags
    assert tags["spool.missing_artifacts"] == "checkpoints/epoch_1.pth, epoch_2.pth"
    assert len(history(run)) == 3


@pytest.mark.fault("MLflow refuses a value for good", "counted and named; the rest arrives")
def test_a_value_that_mlflow_refuses_is_counted_and_blocks_nothing(
    run: TrackedRun, work_dir: WorkDir, store: FlakyStore, caplog: pytest.LogCaptureFixture
) -> None:
    writer = write_losses(work_dir, 0, 10)
    writer.metrics({"AR@100": 0.5}, 10)
    writer.tags({"bad@key": "x"})
    for step in range(11, 20):
        writer.metrics({"train/loss": float(step)}, step)
    assert deliver(run.record, work_dir.spool, store).complete
    assert [step for step, _ in history(run)] == [*range(10), *range(11, 20)]
    assert MlflowClient(run.record.uri).get_run(run.run_id).data.tags["spool.refused_records"] == "2"
    assert "AR@100" in caplog.text


def test_the_records_that_a_full_spool_dropped_are_counted(
    run: TrackedRun, work_dir: WorkDir, store: FlakyStore
) -> None:
    writer = SpoolWriter(work_dir.spool, limit_mb=0.001)
    for step in range(1000):
        writer.metrics({"train/loss": 1.0}, step)
    writer.close()
    assert deliver(run.record, work_dir.spool, store).complete
    dropped = int(MlflowClient(run.record.uri).get_run(run.run_id).data.tags["spool.dropped_training_records"])
    assert dropped == 1000 - len(history(run)) > 0


@pytest.mark.fault("the run is deleted in MLflow", "its records stay in the spool")
def test_a_deleted_run_keeps_its_spool(run: TrackedRun, work_dir: WorkDir, store: FlakyStore) -> None:
    write_losses(work_dir, 0, 10)
    MlflowClient(run.record.uri).delete_run(run.run_id)
    outcome = deliver(run.record, work_dir.spool, store)
    assert outcome.problem is not None
    assert "was deleted" in outcome.problem
    assert outcome.pending == 11


def test_a_backlog_can_be_shared_out(run: TrackedRun, work_dir: WorkDir, store: FlakyStore) -> None:
    write_losses(work_dir, 0, 100)
    outcome = deliver(run.record, work_dir.spool, store, record_limit=30)
    assert (outcome.delivered, outcome.problem) == (30, None)
    assert outcome.pending == 71


def test_a_spool_that_another_command_delivers_is_left_alone(
    run: TrackedRun, work_dir: WorkDir, store: FlakyStore
) -> None:
    write_losses(work_dir, 0, 10)
    with delivery_lock(work_dir.spool):
        outcome = deliver(run.record, work_dir.spool, store)
    assert (outcome.delivered, outcome.problem) == (0, "another command is delivering it")


@pytest.mark.slow
def test_the_thread_says_once_that_it_stopped_and_once_that_it_goes_on(
    run: TrackedRun, work_dir: WorkDir, store: FlakyStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.takes_metrics = False
    write_losses(work_dir, 0, 10)
    thread = DeliveryThread(run.record, work_dir.spool, store, interval_s=0.01)
    with caplog.at_level(logging.INFO, logger="vision_research"):
        thread.start()
        time.sleep(0.5)
        store.takes_metrics = True
        assert thread.drain(patience_s=5).complete
    stopped = [record for record in caplog.records if "does not take records now (switched off)" in record.message]
    assert len(stopped) == 1
    assert sum("takes records again" in record.message for record in caplog.records) == 1
    assert len(history(run)) == 10


@pytest.mark.slow
def test_the_end_waits_only_as_long_as_its_patience(run: TrackedRun, work_dir: WorkDir, store: FlakyStore) -> None:
    store.takes_metrics = False
    write_losses(work_dir, 0, 10)
    thread = DeliveryThread(run.record, work_dir.spool, store, interval_s=0.01)
    thread.start()
    outcome = thread.drain(patience_s=0.2)
    assert (outcome.pending, outcome.problem) == (11, "switched off")
    assert segments(work_dir.spool) != []
    assert not thread.is_alive()  # what waits is for `track sync` from here on


@pytest.mark.slow
def test_an_earlier_run_is_delivered_beside_this_one(
    settings: TrackingSettings, run: TrackedRun, work_dir: WorkDir, store: FlakyStore, tmp_path: Path
) -> None:
    earlier = WorkDir(tmp_path / "runs" / "earlier")
    earlier.root.mkdir()
    waiting = start_run(settings, earlier, {}, {})
    write_losses(earlier, 0, 1500)
    earlier.owner_lock.touch()  # its command is gone: nobody holds the lock
    thread = DeliveryThread(run.record, work_dir.spool, store, [earlier.root], interval_s=0.01)
    thread.start()
    deadline = time.monotonic() + 30
    while MlflowClient(settings.uri).get_run(waiting.run_id).info.status != "KILLED":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert thread.drain(5).complete
    assert len(history(waiting)) == 1500
