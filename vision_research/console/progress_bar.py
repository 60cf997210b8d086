"""Shows the progress of a command: a bar on a terminal, or else a line every 10 seconds."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_EVERY_S = 10.0


class Count:
    """Counts the items that are done; `counting` makes one."""

    def __init__(self, name: str, total: int, done: int = 0) -> None:
        self._name = name
        self._total = total
        self._done = self._first = done
        self._started_s = self._printed_s = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """Add to the number of items that are done."""
        self._done += count
        now = time.monotonic()
        if now - self._printed_s >= _LINE_EVERY_S or self._done == self._total:
            self._printed_s = now
            left_s = (now - self._started_s) / max(self._done - self._first, 1) * (self._total - self._done)
            print(f"{self._name} {self._done}/{self._total}, eta {timedelta(seconds=round(left_s))}", flush=True)


class _Bar(Count):
    def __init__(self, progress: Progress, name: str, total: int, done: int) -> None:
        super().__init__(name, total, done)
        self._progress = progress
        self._task = progress.add_task(name, total=total, completed=done)

    def advance(self, count: int = 1) -> None:
        self._progress.advance(self._task, count)


@contextmanager
def counting(name: str, total: int, done: int = 0) -> Iterator[Count]:
    """Show the progress of a task.

    Args:
        name: name of the task.
        total: number of items.
        done: number of items that an earlier command has done.
    """
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        yield Count(name, total, done)
        return
    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stdout)) as progress:
        yield _Bar(progress, name, total, done)
