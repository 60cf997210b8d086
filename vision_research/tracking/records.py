"""The records of a spool, one per line, as JSON: what is to be sent to MLflow. Imports no MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

FINAL_STATUSES = ("FINISHED", "FAILED", "KILLED")


@dataclass(frozen=True)
class Metrics:
    """Values measured at one step.

    Attributes:
        values: by MLflow metric name.
        step: training iterations done when they were measured.
        timestamp_ms: time of the measurement, in ms since the epoch; MLflow recognises a repeated value by it.
    """

    values: Mapping[str, float]
    step: int
    timestamp_ms: int


@dataclass(frozen=True)
class Params:
    """Settings of the run, set once."""

    values: Mapping[str, str]


@dataclass(frozen=True)
class Tags:
    """Tags of the run; the last value of a key is kept."""

    values: Mapping[str, str]


@dataclass(frozen=True)
class Artifact:
    """A file to copy into the run.

    Attributes:
        path: absolute path of the file, read when it is delivered.
        artifact_path: folder inside the run; empty is its root.
    """

    path: str
    artifact_path: str = ""


@dataclass(frozen=True)
class DatasetRecord:
    """The data set that the run trains on, as an MLflow input.

    Attributes:
        name: such as `digits`.
        digest: of annotations and images; MLflow stores 36 characters.
        source: folder or address of the data.
        num_train: training images.
        num_val: validation images.
        classes: in the order of the labels.
    """

    name: str
    digest: str
    source: str
    num_train: int
    num_val: int
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Dropped:
    """The number of records of training metrics that were dropped because the spool was full."""

    count: int


@dataclass(frozen=True)
class End:
    """The last record of a segment. Nothing follows, so the segment can be deleted when it is delivered."""


Record: TypeAlias = Metrics | Params | Tags | Artifact | DatasetRecord | Dropped | End

_KINDS: dict[str, type[Any]] = {
    "metrics": Metrics,
    "params": Params,
    "tags": Tags,
    "artifact": Artifact,
    "dataset": DatasetRecord,
    "dropped": Dropped,
    "end": End,
}
_NAMES = {record_type: kind for kind, record_type in _KINDS.items()}


def encode(record: Record) -> bytes:
    """Write a record as one line, the newline included."""
    line = json.dumps({"kind": _NAMES[type(record)], **_fields(record)}, separators=(",", ":"))
    return line.encode("ascii") + b"\n"


def decode(line: bytes) -> Record:
    """Read a record from its line; `ValueError` if it is none, or of a kind that this version does not know."""
    try:
        fields = json.loads(line)
        record_type = _KINDS[fields.pop("kind")]
        if record_type is DatasetRecord:
            fields["classes"] = tuple(fields["classes"])
        record: Record = record_type(**fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no spool record: {line[:80]!r} ({error})") from error
    return record


def _fields(record: Record) -> dict[str, Any]:
    # dataclasses.asdict deep-copies every value, which takes 15 of the 25 microseconds of a training record.
    return record.__dict__ if not isinstance(record, DatasetRecord) else asdict(record)
