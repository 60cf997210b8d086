"""The reading side of the spool: what is undelivered, in order, and how far delivery has come.

Owns `delivered.json`, replaced as a whole after every batch that MLflow took. A kill between MLflow's answer and that
write makes the batch go out again; MLflow drops a metric that it already holds (same key, step, timestamp and value),
and every other record is a state that may be set twice. So what arrives is exactly what was written.
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
    """The end of a record: everything before it in its segment has been delivered once this is committed."""

    segment: str
    offset: int
    is_end: bool = False


@dataclass
class Progress:
    """How far delivery has come; the content of `delivered.json`.

    Attributes:
        offsets: by segment, the byte up to which it was delivered.
        artifacts: files met in the spool and not uploaded yet. They wait here, so that a slow or broken artifact store
            never holds up the metrics behind them.
        missing: files that were gone when their turn came.
        dropped: training-metric records that the full spool left out.
        refused: records that MLflow will never take, and lines that are no record.
        status: the last status that MLflow was told.
    """

    offsets: dict[str, int] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    dropped: int = 0
    refused: int = 0
    status: RunStatus | None = None


@dataclass(frozen=True)
class Unreadable:
    """A whole line that is no record (disk fault, or written by a later version): counted, and passed over."""

    problem: str


class SpoolReader:
    """Reads one spool and remembers what was delivered. Use it while `exclusive` is held."""

    def __init__(self, folder: Path) -> None:
        """Read the progress so far; the spool may be empty or absent."""
        self.folder = folder
        self.progress = _load(folder / "delivered.json")

    def records(self) -> Iterator[tuple[Record | Unreadable, Position]]:
        """Yield every undelivered whole record, oldest segment first; a torn last line is left where it is."""
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
        """Remember that everything up to a position (and all of `progress`) holds; a finished segment is deleted."""
        if position is not None and position.is_end:
            # Deleted first: a kill in between leaves an offset of a file that is gone, which `_load` forgets.
            (self.folder / position.segment).unlink(missing_ok=True)
            self.progress.offsets.pop(position.segment, None)
        elif position is not None:
            self.progress.offsets[position.segment] = position.offset
        write_json(self.folder / "delivered.json", asdict(self.progress))

    def num_pending(self) -> int:
        """Count the records, artifacts and status that MLflow does not have yet."""
        waiting = sum(self._num_lines(segment) for segment in segments(self.folder))
        return waiting + len(self.progress.artifacts) + self.status_pending()

    def _num_lines(self, segment: Path) -> int:
        # Counted, not decoded: with a server away for hours this is 256 MB, once a minute, beside a training.
        with segment.open("rb") as file:
            file.seek(self.progress.offsets.get(segment.name, 0))
            content = file.read()
        return content.count(b"\n") - content.endswith(_END_LINE)

    def status_pending(self) -> bool:
        """Whether the run stands otherwise than MLflow was told."""
        wanted = read_status(self.folder)
        return wanted is not None and wanted != self.progress.status

    def clear(self) -> None:
        """Delete the delivered segments of a run that ended: a killed writer could not end its own."""
        waiting = {position.segment for _, position in self.records()}
        for segment in segments(self.folder):
            if segment.name not in waiting:
                segment.unlink()
                self.progress.offsets.pop(segment.name, None)
        self.commit()


@contextmanager
def exclusive(folder: Path) -> Iterator[bool]:
    """Hold the right to deliver a spool; yields False at once where another process holds it."""
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
