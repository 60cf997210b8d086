"""How a training or an export ended, as the ranks saw it: one JSON file that the parent process reads.

The first failure of an attempt wins. When one rank fails, the others fail soon after it, of a closed connection; what
they have to say must not cover the cause.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from vision_research.work_dir import write_json


def write_outcome(path: Path, status: str, **fields: Any) -> None:
    """Write how it ended, over whatever an earlier attempt has left.

    Args:
        path: `WorkDir.outcome`.
        status: FINISHED or KILLED.
        **fields: JSON values.
    """
    write_json(path, {"status": status, **fields, "attempt": _attempt()})


def write_failure(path: Path, error: BaseException, *, is_consequence: bool = False, **fields: Any) -> bool:
    """Write that it failed, unless another rank has done so in the same attempt.

    Args:
        path: `WorkDir.outcome`.
        error: what ended it.
        is_consequence: whether another rank is known to have the cause; its word replaces this one.
        **fields: JSON values.

    Returns:
        Whether this rank was the first.
    """
    rank = int(os.environ.get("RANK", "0"))
    cause = {"cause": said(error), "error_type": type(error).__name__, "rank": rank}
    record = {"status": "FAILED", **cause, **fields, "is_consequence": is_consequence, "attempt": _attempt()}
    content = json.dumps(record, indent=2) + "\n"
    if _create(path, content):
        return True
    before = _read(path)
    if before.get("attempt") == _attempt() and (is_consequence or not before.get("is_consequence")):
        return False
    path.unlink(missing_ok=True)
    return _create(path, content)


def said(error: BaseException) -> str:
    """Return what an error says, without the traceback that torch puts around one from a loader worker."""
    text = str(error)
    if text.startswith("Caught ") and "Original Traceback" in text:
        text = text.rpartition(f"{type(error).__name__}: ")[2].strip()
    return text or type(error).__name__


def _create(path: Path, content: str) -> bool:
    """Create a file whole, or not at all if it exists. A hard link is the one operation that does both."""
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
    """Name this start of the ranks: torchrun gives every launch an id, and counts its restarts."""
    return f"{os.environ.get('TORCHELASTIC_RUN_ID', 'none')}/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"


def _read(path: Path) -> dict[str, Any]:
    """Return what is there; a file that is gone or not ours counts as nothing."""
    with suppress(OSError, ValueError):
        return dict(json.loads(path.read_text(encoding="utf-8")))
    return {}
