"""The reading side of the spool: the undelivered records in their order, and the progress of delivery.

Owns `delivered.json`, which is replaced after every batch that MLflow accepted. After a kill between MLflow's answer
and that write the batch is sent again. MLflow ignores a metric that it already has (same key, step, timestamp and
value), and every other record may be set twice. So MLflow receives exactly what was written.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vision_research.tracking.records import Artifact, End, Record, decode, encode
from vision_research.tracking.spool import RunStatus, read_status, segments
from vision_research.work_dir import write_json

_END_LINE = encode(End())


@dataclass(frozen=True)
class Position:
    """The end of a record in a segment. After `commit`, everything before it counts as delivered."""

    segment: str
    offset: int
    is_end: bool = False


@dataclass
class Progress:
    """The progress of delivery, as `delivered.json` stores it.

    Attributes:
        offsets: number of delivered bytes of each segment.
        artifacts: files that were recorded in the spool and not uploaded yet. They are uploaded after all metrics, so
            that a slow or broken artifact store does not delay these.
        missing: files that no longer existed when they were to be uploaded.
        dropped: number of records of training metrics that were dropped because the spool was full.
        refused: number of records that MLflow refused for good, and of unreadable lines.
        status: the last status that was sent to MLflow.
    """

    offsets: dict[str, int] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    dropped: int = 0
    refused: int = 0
    status: RunStatus | None = None


@dataclass(frozen=True)
class Unreadable:
    """A complete line that is not a record (disk fault, or written by a later version). It is counted and skipped."""

    problem: str


class SpoolReader:
    """Reads one spool and records what was delivered. To be used while `delivery_lock` is held."""

    def __init__(self, folder: Path) -> None:
        """Read the progress; the spool may be empty or absent."""
        self.folder = folder
        self.progress = _load(folder / "delivered.json")

    def records(self) -> Iterator[tuple[Record | Unreadable, Position]]:
        """Yield every complete undelivered record, oldest segment first; an incomplete last line is not read."""
        for segment in segments(self.folder):
            offset = self.progress.offsets.get(segment.name, 0)
            with segment.open("rb") as file:
                file.seek(offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    offset += len(line)
                    record = _decode(line)
                    yield record, Position(segment.name, offset, isinstance(record, End))

    def commit(self, position: Position | None = None) -> None:
        """Save `progress`, with everything up to a position as delivered; a complete segment is deleted."""
        if position is not None and position.is_end:
            # The segment is deleted first. After a kill in between, `_load` ignores the offset of the deleted file.
            (self.folder / position.segment).unlink(missing_ok=True)
            self.progress.offsets.pop(position.segment, None)
        elif position is not None:
            self.progress.offsets[position.segment] = position.offset
        write_json(self.folder / "delivered.json", asdict(self.progress))

    def num_pending(self) -> int:
        """Count the records, artifacts and statuses that MLflow does not have yet."""
        waiting = sum(self._num_lines(segment) for segment in segments(self.folder))
        return waiting + len(self.progress.artifacts) + self.status_pending()

    def _num_lines(self, segment: Path) -> int:
        # Lines are counted, not decoded: after hours without a server these are 256 MB, once a minute in a training.
        with segment.open("rb") as file:
            file.seek(self.progress.offsets.get(segment.name, 0))
            content = file.read()
        return content.count(b"\n") - content.endswith(_END_LINE)

    def status_pending(self) -> bool:
        """Tell whether the status of the run differs from the last one that was sent to MLflow."""
        wanted = read_status(self.folder)
        return wanted is not None and wanted != self.progress.status

    def clear(self) -> None:
        """Delete the delivered segments of a run that has ended; a writer that was killed did not end its own."""
        waiting = {position.segment for _, position in self.records()}
        for segment in segments(self.folder):
            if segment.name not in waiting:
                segment.unlink()
                self.progress.offsets.pop(segment.name, None)
        self.commit()


@contextmanager
def delivery_lock(folder: Path) -> Iterator[bool]:
    """Lock a spool for delivery; yield False at once if another process holds the lock."""
    handle = os.open(folder / ".deliver.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _decode(line: bytes) -> Record | Unreadable:
    try:
        return decode(line)
    except ValueError as error:
        return Unreadable(str(error))


def _load(path: Path) -> Progress:
    if not path.is_file():
        return Progress()
    fields = json.loads(path.read_text())
    fields["artifacts"] = [Artifact(**artifact) for artifact in fields["artifacts"]]
    fields["status"] = RunStatus(**fields["status"]) if fields["status"] else None
    fields["offsets"] = {name: at for name, at in fields["offsets"].items() if (path.parent / name).is_file()}
    return Progress(**fields)
