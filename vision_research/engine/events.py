"""Rare events of a training that are recorded in its MLflow run: rank 0 writes them, the parent process reads them.

`events.jsonl` in the work_dir has one JSON object a line. Only the parent process talks to MLflow.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process

from vision_research.work_dir import WorkDir


def record_event(work_dir: Path, name: str, **values: Any) -> None:
    """Append an event; ranks other than 0 do nothing.

    Args:
        work_dir: folder of the run.
        name: what happened, such as `pipeline_stage`.
        **values: JSON values that describe it.
    """
    if not is_main_process():
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
