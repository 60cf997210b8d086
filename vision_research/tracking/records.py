"""What a spool holds: one record a line, as JSON.

Pure functions and types. A record says what MLflow shall know, in MLflow's words, without importing MLflow.
"""

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
        timestamp_ms: when, since the epoch. Kept, because MLflow tells a repeated value from a new one by it.
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
    """Notes on the run; the last value of a key holds."""

    values: Mapping[str, str]


@dataclass(frozen=True)
class Artifact:
    """A file to copy into the run.

    Attributes:
        path: absolute path of the file, read when it is delivered.
        artifact_path: folder inside of the run; empty is its root.
    """

    path: str
    artifact_path: str = ""


@dataclass(frozen=True)
class DatasetRecord:
    """The data set that the run trains on, as an MLflow input.

    Attributes:
        name: the team's name of it, such as `digits`.
        digest: of annotations and images; MLflow keeps 36 characters.
        source: where it lies: a folder or an address.
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
    """How many training-metric records were left out because the spool was full."""

    count: int


@dataclass(frozen=True)
class End:
    """The last record of a segment: nothing follows, so that it can be deleted once it is delivered."""


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
    """Read a record from its line.

    Raises:
        ValueError: the line is no record, or one of a kind that this version does not know.
    """
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
    # dataclasses.asdict deep-copies every value: 15 us of the 25 that a training record would then cost.
    return record.__dict__ if not isinstance(record, DatasetRecord) else asdict(record)
