"""What the ranks write for the parent process: the outcome of a training or an export, and rare events for MLflow.

Both are JSON. The first failure of an attempt is kept. When a rank fails, the others soon fail as well, of a closed
connection, and their errors must not replace the cause. Rank 0 writes the events, an object a line.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process

from vision_research.engine.ownership import is_owner
from vision_research.work_dir import WorkDir, read_json, write_json


def write_outcome(path: Path, status: str, **fields: Any) -> None:
    """Write the outcome, replacing that of an earlier attempt.

    Args:
        path: `WorkDir.outcome`.
        status: FINISHED or KILLED.
        **fields: JSON values.
    """
    write_json(path, {"status": status, **fields, "attempt": _attempt()})


def write_failure(path: Path, error: BaseException, *, is_consequence: bool = False, **fields: Any) -> bool:
    """Write a failure, unless another rank has written one in the same attempt.

    Args:
        path: `WorkDir.outcome`.
        error: the error.
        is_consequence: whether the cause lies on another rank, whose failure then replaces this one.
        **fields: JSON values.

    Returns:
        Whether this failure was written.
    """
    rank = int(os.environ.get("RANK", "0"))
    cause = {"cause": error_message(error), "error_type": type(error).__name__, "rank": rank}
    record = {"status": "FAILED", **cause, **fields, "is_consequence": is_consequence, "attempt": _attempt()}
    content = json.dumps(record, indent=2) + "\n"
    if _create(path, content):
        return True
    before = read_json(path)
    if before.get("attempt") == _attempt() and (is_consequence or not before.get("is_consequence")):
        return False
    path.unlink(missing_ok=True)
    return _create(path, content)


def error_message(error: BaseException) -> str:
    """Return the message of an error, without the traceback that torch adds to errors of loader workers."""
    text = str(error)
    if text.startswith("Caught ") and "Original Traceback" in text:
        text = text.rpartition(f"{type(error).__name__}: ")[2].strip()
    return text or type(error).__name__


def _create(path: Path, content: str) -> bool:
    """Create a complete file unless it exists; a hard link does both in one step."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
        temporary.chmod(0o644)
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def _attempt() -> str:
    """Identify this start of the ranks by torchrun's id of the launch and its count of restarts."""
    return f"{os.environ.get('TORCHELASTIC_RUN_ID', 'none')}/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"


def record_event(work_dir: Path, name: str, **values: Any) -> None:
    """Append an event; ranks other than 0, and those whose command no longer owns the folder, do nothing.

    Args:
        work_dir: folder of the run.
        name: what happened, such as `pipeline_stage`.
        **values: JSON values that describe it.
    """
    if not is_main_process() or not is_owner(WorkDir(work_dir)):
        return
    line = json.dumps({"event": name, "time_s": round(time.time(), 3), **values})
    # A single write in append mode, so that a reader never sees half of a line.
    with WorkDir(work_dir).events.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def read_events(work_dir: Path) -> list[dict[str, Any]]:
    """Return the events of a run, oldest first; none where nothing was recorded."""
    path = WorkDir(work_dir).events
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def event_tags(work_dir: Path) -> dict[str, str]:
    """Return the epoch or iteration of the last event of each name, as tags of the run."""
    return {
        event["event"]: ", ".join(f"{key} {value}" for key, value in event.items() if key in ("epoch", "iter"))
        for event in read_events(work_dir)
    }
