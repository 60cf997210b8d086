from __future__ import annotations

import json
import logging
import math
import multiprocessing
import os
import signal
import threading
from pathlib import Path

import pytest

from vision_research.tracking.records import (
    Artifact,
    DatasetRecord,
    Dropped,
    End,
    Metrics,
    Params,
    Record,
    Tags,
    decode,
    encode,
)
from vision_research.tracking.spool import (
    RunStatus,
    SpoolWriter,
    read_status,
    segments,
    undelivered_bytes,
    write_status,
)
from vision_research.tracking.spool_reader import SpoolReader, Unreadable, delivery_lock

DIGITS = DatasetRecord("digits", "abc123", "/data/digits", 300, 100, ("0", "1"))


def read(folder: Path) -> list[Record | Unreadable]:
    return [record for record, _ in SpoolReader(folder).records()]


def deliver_everything(folder: Path) -> list[Record | Unreadable]:
    reader = SpoolReader(folder)
    found = list(reader.records())
    last_of_segment = {position.segment: position for _, position in found}
    for position in last_of_segment.values():
        reader.commit(position)
    return [record for record, _ in found]


def steps(records: list[Record | Unreadable]) -> list[int]:
    return [record.step for record in records if isinstance(record, Metrics)]


def test_every_kind_of_record_comes_back_as_it_was(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.metrics({"train/loss": 1.5}, 10, timestamp_ms=1700000000000)
    writer.params({"lr": "0.004"})
    writer.tags({"host": "k\u00f6ln"})
    writer.artifact(tmp_path / "config.py", "config")
    writer.dataset(DIGITS)
    writer.close()
    assert SpoolReader(tmp_path).num_pending() == 5
    assert read(tmp_path) == [
        Metrics({"train/loss": 1.5}, 10, 1700000000000),
        Params({"lr": "0.004"}),
        Tags({"host": "k\u00f6ln"}),
        Artifact(str(tmp_path / "config.py"), "config"),
        DIGITS,
        End(),
    ]


def test_nan_and_infinity_survive() -> None:
    record = decode(encode(Metrics({"a": math.nan, "b": math.inf, "c": -math.inf}, 1, 2)))
    assert isinstance(record, Metrics)
    assert math.isnan(record.values["a"])
    assert (record.values["b"], record.values["c"]) == (math.inf, -math.inf)


def test_a_record_is_on_disk_when_the_call_returns(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.metrics({"train/loss": 1.0}, 1)
    assert steps(read(tmp_path)) == [1]


def test_a_torn_last_line_is_left_until_it_is_whole(tmp_path: Path) -> None:
    SpoolWriter(tmp_path).metrics({"train/loss": 1.0}, 1)
    line = encode(Metrics({"train/loss": 2.0}, 2, 5))
    (segment,) = segments(tmp_path)
    with segment.open("ab") as file:
        file.write(line[:20])
    assert steps(deliver_everything(tmp_path)) == [1]
    assert SpoolReader(tmp_path).num_pending() == 0
    with segment.open("ab") as file:
        file.write(line[20:])
    assert steps(deliver_everything(tmp_path)) == [2]


def test_a_writer_that_is_killed_loses_nothing_that_it_wrote(tmp_path: Path) -> None:
    def write_until_killed() -> None:
        writer = SpoolWriter(tmp_path, segment_bytes=10_000)
        for step in range(10**9):
            writer.metrics({"train/loss": 1.0 / (step + 1)}, step)
            if step == 500:
                ready.set()

    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=write_until_killed)
    process.start()
    assert ready.wait(30)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    written = steps(read(tmp_path))
    assert len(written) > 500
    assert written == list(range(len(written)))


def test_reading_goes_on_after_what_was_committed(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    for step in range(5):
        writer.metrics({"train/loss": 1.0}, step)
    reader = SpoolReader(tmp_path)
    positions = [position for _, position in reader.records()]
    reader.commit(positions[2])
    assert steps(read(tmp_path)) == [3, 4]
    assert SpoolReader(tmp_path).num_pending() == 2


def test_delivered_segments_are_deleted_and_the_open_one_stays(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, segment_bytes=2_000)
    for step in range(100):
        writer.metrics({"train/loss": 1.0}, step)
    assert len(segments(tmp_path)) > 3
    assert steps(deliver_everything(tmp_path)) == list(range(100))
    assert len(segments(tmp_path)) <= 1
    assert undelivered_bytes(tmp_path) == 0
    writer.close()
    deliver_everything(tmp_path)
    assert segments(tmp_path) == []


def test_a_kill_between_deleting_a_segment_and_saying_so_is_harmless(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.metrics({"train/loss": 1.0}, 1)
    deliver_everything(tmp_path)
    before = (tmp_path / "delivered.json").read_text()
    writer.close()
    deliver_everything(tmp_path)
    (tmp_path / "delivered.json").write_text(before)
    SpoolWriter(tmp_path).metrics({"train/loss": 2.0}, 2)
    assert steps(deliver_everything(tmp_path)) == [2]
    assert len(json.loads((tmp_path / "delivered.json").read_text())["offsets"]) == 1


@pytest.mark.slow
def test_two_processes_write_side_by_side(tmp_path: Path) -> None:
    def write(base: int) -> None:
        writer = SpoolWriter(tmp_path, segment_bytes=3_000)
        for step in range(base, base + 200):
            writer.metrics({"train/loss": 1.0}, step)

    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=write, args=(base,)) for base in (0, 1000)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(steps(read(tmp_path))) == [*range(200), *range(1000, 1200)]


def test_threads_share_one_writer(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, segment_bytes=3_000)

    def write() -> None:
        for _ in range(200):
            writer.tags({"a": "b"})

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(record, Tags) for record in read(tmp_path)) == 800


def test_a_line_that_is_no_record_is_reported_and_passed_over(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.metrics({"train/loss": 1.0}, 1)
    with segments(tmp_path)[0].open("ab") as file:
        file.write(b"\0\0\0\n" + b'{"kind":"future","x":1}\n')
    writer.metrics({"train/loss": 1.0}, 2)
    records = deliver_everything(tmp_path)
    assert steps(records) == [1, 2]
    assert [type(record) for record in records[1:3]] == [Unreadable, Unreadable]
    assert SpoolReader(tmp_path).num_pending() == 0


@pytest.mark.fault(
    "MLflow is away until the spool is full", "training metrics are thinned and counted, everything else is kept"
)
def test_a_full_spool_thins_training_metrics_and_keeps_the_rest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = SpoolWriter(tmp_path, limit_mb=0.1)
    with caplog.at_level(logging.WARNING):
        for step in range(20_000):
            writer.metrics({"train/loss": 1.0}, step)
    writer.metrics({"val/bbox_mAP": 0.5}, 20_000, essential=True)
    writer.tags({"host": "a"})
    writer.artifact(tmp_path / "best.pth")
    writer.close()
    records = read(tmp_path)
    kept = [record for record in records if isinstance(record, Metrics)]
    dropped = sum(record.count for record in records if isinstance(record, Dropped))
    assert len(kept) + dropped == 20_001
    assert dropped > 10_000
    assert kept[-1] == Metrics({"val/bbox_mAP": 0.5}, 20_000, kept[-1].timestamp_ms)
    assert {Tags, Artifact} <= {type(record) for record in records}
    assert sum(path.stat().st_size for path in segments(tmp_path)) < 130_000
    assert [record.message.count("vis_data/scalars.json") for record in caplog.records] == [1]
    assert "tracking.spool_limit_mb" in caplog.text


def test_a_spool_that_empties_takes_everything_again(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, limit_mb=0.05)
    for step in range(2_000):
        writer.metrics({"train/loss": 1.0}, step)
    deliver_everything(tmp_path)
    for step in range(2_000, 2_120):
        writer.metrics({"train/loss": 1.0}, step)
    assert steps(read(tmp_path))[-20:] == list(range(2_100, 2_120))


def test_the_status_is_the_last_one_that_was_set(tmp_path: Path) -> None:
    assert read_status(tmp_path) is None
    write_status(tmp_path, RunStatus("RUNNING"))
    write_status(tmp_path, RunStatus("FAILED", "the loss is NaN at step 12", 1700000000000))
    assert read_status(tmp_path) == RunStatus("FAILED", "the loss is NaN at step 12", 1700000000000)
    assert SpoolReader(tmp_path).num_pending() == 1


@pytest.mark.fault("two commands deliver one run at once", "one does, the other waits")
def test_only_one_process_delivers_at_a_time(tmp_path: Path) -> None:
    with delivery_lock(tmp_path) as first, delivery_lock(tmp_path) as second:
        assert (first, second) == (True, False)
    with delivery_lock(tmp_path) as again:
        assert again
