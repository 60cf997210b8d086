"""The spool: files to which a training appends its records, so that no MLflow server can slow it down.

Owns the file names and the writing side. Every writing process has its own append-only segments,
`<time>-<pid>-<count>.jsonl`. One record is one line, written by one `os.write`. So a kill loses nothing that was
written, and leaves at most one incomplete line at the end. Records are not synced to the disk one by one: a power cut
may lose those of the last seconds. The status of the run is not a record but a file, `status.json`, that is replaced.
"""

from __future__ import annotations

import json
import logging
import math
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from vision_research.tracking.records import (
    Artifact,
    DatasetRecord,
    Dropped,
    End,
    Metrics,
    Params,
    Record,
    Tags,
    encode,
)
from vision_research.work_dir import write_json

logger = logging.getLogger(__name__)

SEGMENT_SUFFIX = ".jsonl"
SEGMENT_BYTES = 1 << 20
# Measuring the spool takes one scandir (0.1 to 0.5 ms); it is done once per this many records of training metrics.
_CHECK_EVERY = 100
_THINNED_KEEPS = 10


@dataclass(frozen=True)
class RunStatus:
    """The status of the run, as MLflow is to show it.

    Attributes:
        status: `RUNNING`, `FINISHED`, `FAILED` or `KILLED`.
        cause: why it failed or was killed; None for a run that finished.
        end_time_ms: when it ended, in milliseconds since the epoch; None while it runs.
    """

    status: str
    cause: str | None = None
    end_time_ms: int | None = None


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def write_status(folder: Path, status: RunStatus) -> None:
    """Set the status of the run, which is delivered after everything else.

    Args:
        folder: the spool.
        status: the new status.
    """
    write_json(folder / "status.json", asdict(status))


def read_status(folder: Path) -> RunStatus | None:
    """Read the status of the run; None before it started."""
    path = folder / "status.json"
    return RunStatus(**json.loads(path.read_text())) if path.is_file() else None


def segments(folder: Path) -> list[Path]:
    """List the segments of a spool, oldest first."""
    return sorted(folder.glob(f"*{SEGMENT_SUFFIX}"))


def read_offsets(folder: Path) -> dict[str, int]:
    """Read how many bytes of each segment were delivered."""
    path = folder / "delivered.json"
    offsets: dict[str, int] = json.loads(path.read_text())["offsets"] if path.is_file() else {}
    return offsets


def undelivered_bytes(folder: Path) -> int:
    """Return the number of undelivered bytes in a spool."""
    offsets = read_offsets(folder)
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(SEGMENT_SUFFIX):
                try:
                    total += entry.stat().st_size - offsets.get(entry.name, 0)
                except FileNotFoundError:
                    continue  # delivered and deleted since it was listed
    return total


class SpoolWriter:
    """Appends records to a spool. A process uses one writer, from any thread.

    Beyond half of the size limit only every tenth record of training metrics is written, and beyond the limit none; the
    number of dropped records is recorded. Validation metrics, params, tags and artifacts are always written.
    """

    def __init__(self, folder: Path, limit_mb: float = 256, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Make the folder; the first record makes the first segment.

        Args:
            folder: the spool; made if absent.
            limit_mb: undelivered size beyond which training metrics are dropped, in units of 10**6 bytes.
            segment_bytes: size from which a new segment is begun.
        """
        self.folder = folder
        self._limit_bytes = limit_mb * 1e6
        self._segment_bytes = segment_bytes
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._written = 0
        self._num_segments = 0
        self._offered = 0
        self._keep_every = 1
        self._dropped = 0
        self._warned = False
        folder.mkdir(parents=True, exist_ok=True)

    def metrics(
        self, values: Mapping[str, float], step: int, essential: bool = False, timestamp_ms: int | None = None
    ) -> None:
        """Record values that were measured at a step.

        Args:
            values: by the name that MLflow accepts (`names.metric_name`).
            step: training iterations done.
            essential: never drop them (validation metrics).
            timestamp_ms: time of the measurement, in milliseconds since the epoch; None is now.
        """
        stamp = now_ms() if timestamp_ms is None else timestamp_ms
        with self._lock:
            if essential or self._has_room():
                self._append(Metrics(values, step, stamp))

    def params(self, values: Mapping[str, str]) -> None:
        """Record settings of the run."""
        self._append_locked(Params(dict(values)))

    def tags(self, values: Mapping[str, str]) -> None:
        """Record tags of the run."""
        self._append_locked(Tags(dict(values)))

    def artifact(self, path: Path, artifact_path: str = "") -> None:
        """Record that a file is to be copied into the run.

        Args:
            path: the file; it must not be removed before it is delivered.
            artifact_path: folder inside the run; empty is its root.
        """
        self._append_locked(Artifact(str(path.absolute()), artifact_path))

    def dataset(self, dataset: DatasetRecord) -> None:
        """Record the data set that the run trains on."""
        self._append_locked(dataset)

    def close(self) -> None:
        """End the open segment, so that it can be deleted when it is delivered; a later record begins a new one."""
        with self._lock:
            self._record_dropped()
            if self._handle is not None:
                self._end_segment()

    def _append_locked(self, record: Record) -> None:
        with self._lock:
            self._append(record)

    def _append(self, record: Record) -> None:
        handle = self._open_segment() if self._handle is None else self._handle
        line = encode(record)
        self._write(handle, line)
        self._written += len(line)
        if self._written >= self._segment_bytes:
            self._end_segment()

    @staticmethod
    def _write(handle: int, line: bytes) -> None:
        written = os.write(handle, line)
        while written < len(line):  # a nearly full disk may write a part only; the next call finishes it or raises
            written += os.write(handle, line[written:])

    def _open_segment(self) -> int:
        name = f"{time.time_ns():020d}-{os.getpid()}-{self._num_segments:06d}{SEGMENT_SUFFIX}"
        self._handle = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o666)
        self._num_segments += 1
        self._written = 0
        return self._handle

    def _end_segment(self) -> None:
        assert self._handle is not None
        handle, self._handle = self._handle, None
        try:
            self._write(handle, encode(End()))
        finally:
            os.close(handle)

    def _has_room(self) -> bool:
        if self._offered % _CHECK_EVERY == 0:
            self._look_at_the_disk()
        self._offered += 1
        keep = self._keep_every > 0 and self._offered % self._keep_every == 0
        self._dropped += not keep
        return keep

    def _look_at_the_disk(self) -> None:
        waiting = undelivered_bytes(self.folder)
        if waiting > self._limit_bytes:
            self._keep_every = 0
        else:
            self._keep_every = _THINNED_KEEPS if waiting > self._limit_bytes / 2 else 1
        self._record_dropped()
        if self._keep_every != 1 and not self._warned:
            self._warned = True
            logger.warning(
                "%s holds %d MB that MLflow has not taken yet (limit tracking.spool_limit_mb=%g). From here on "
                "training metrics are recorded thinly, beyond the limit not at all; validation metrics, checkpoints "
                "and the end of the run are kept. The complete history is in vis_data/scalars.json of the work_dir.",
                self.folder,
                math.ceil(waiting / 1e6),
                self._limit_bytes / 1e6,
            )

    def _record_dropped(self) -> None:
        if self._dropped:
            self._append(Dropped(self._dropped))
            self._dropped = 0
