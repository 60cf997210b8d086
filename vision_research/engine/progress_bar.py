"""How far a command is: a live bar on a terminal, a plain line now and then elsewhere."""

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
    """Counts what is done; `counting` makes one."""

    def __init__(self, name: str, total: int, done: int = 0) -> None:
        self._name = name
        self._total = total
        self._done = self._first = done
        self._started = self._said = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """Note that so many more are done."""
        self._done += count
        now = time.monotonic()
        if now - self._said >= _LINE_EVERY_S or self._done == self._total:
            self._said = now
            left_s = (now - self._started) / max(self._done - self._first, 1) * (self._total - self._done)
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
    """Show how far something is.

    Args:
        name: what is under way.
        total: how many there are.
        done: how many an earlier command has done.
    """
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        yield Count(name, total, done)
        return
    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stdout)) as progress:
        yield _Bar(progress, name, total, done)
