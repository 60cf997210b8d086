"""Shows a training as a progress bar on a terminal, below the log."""

from __future__ import annotations

import atexit
import logging
import os
import re
import sys
import time
from datetime import timedelta
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

# The lines that the bar replaces: those with an ETA, which MMEngine's LogProcessor writes every few iterations. The
# line with the result of a validation has none, and is printed.
_PROGRESS_LINE = re.compile(r"^(Epoch|Iter)\((train|val)\).*\beta: ")
_REFRESH_S = 0.1


@HOOKS.register_module()
class ProgressHook(Hook):
    """A progress bar on rank 0's terminal with loss, lr, images/s and time left; nothing if stdout is no terminal.

    The training thread draws it. With a drawing thread, a loader worker could be forked while that thread holds the
    console's lock, and hang. The log file still gets every line.
    """

    # After the hooks whose values it shows, and before GracefulStopHook, which raises.
    priority = "VERY_LOW"

    def __init__(self) -> None:
        self._bar: _LiveBar | None = None

    def before_train(self, runner: Any) -> None:
        """Start the bar if this is rank 0 and its stdout is a terminal."""
        if runner.rank == 0 and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            self._bar = _LiveBar(runner.logger)
            self._bar.show("train", done=runner.iter, total=runner.max_iters, details=_position(runner))

    def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        """Advance the bar."""
        if self._bar is not None and self._bar.due:
            self._show_training(runner, runner.iter + 1)

    def after_val_iter(self, runner: Any, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        """Show the validation instead of the training.

        Args:
            runner: MMEngine's runner.
            batch_idx: number of the batch.
            *args: not used.
            **kwargs: not used.
        """
        if self._bar is not None and self._bar.due:
            self._bar.show("val", done=batch_idx + 1, total=len(runner.val_dataloader), details=_eta(runner))

    def after_val_epoch(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        """Show the training again."""
        if self._bar is not None:
            self._show_training(runner, runner.iter)

    def after_train(self, runner: Any) -> None:
        """Remove the bar."""
        self.close()

    def close(self) -> None:
        """Remove the bar; also to be called when the training raised, because MMEngine calls no hook then."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show_training(self, runner: Any, done: int) -> None:
        assert self._bar is not None
        details = f"{_position(runner)}  {_measured(runner)}"
        self._bar.show("train", done=done, total=runner.max_iters, details=details)


class _LiveBar:
    """A rich progress bar; the console lines of one logger are printed above it."""

    def __init__(self, logger: logging.Logger) -> None:
        self._console = Console(file=sys.stdout)
        columns = (
            TextColumn("{task.description:>5}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[details]}"),
        )
        # While it runs, rich also prints above the bar what others write to stdout and stderr.
        self._progress = Progress(*columns, console=self._console, auto_refresh=False)
        self._task: TaskID = self._progress.add_task("", details="")
        handlers = (handler for handler in logger.handlers if type(handler) is logging.StreamHandler)
        self._handler = next(handlers, None)
        self._original = self._handler.stream if self._handler is not None else None
        if self._handler is not None:
            self._handler.setStream(_AboveBar(self._console))
            self._handler.addFilter(_is_no_progress)
        self._drawn_s = 0.0
        self._progress.start()
        # If the training raises, this shows the cursor again at the end, after the traceback.
        atexit.register(self.close)

    @property
    def due(self) -> bool:
        """Whether enough time has passed to draw again."""
        return time.monotonic() - self._drawn_s >= _REFRESH_S

    def show(self, name: str, done: int, total: int, details: str) -> None:
        """Draw the bar: name, iterations done and in all, details."""
        self._progress.update(self._task, description=name, completed=done, total=total, details=details)
        self._progress.refresh()
        self._drawn_s = time.monotonic()

    def close(self) -> None:
        """Stop the bar and restore the stream of the logger."""
        atexit.unregister(self.close)
        self._progress.stop()
        if self._handler is not None:
            self._handler.setStream(self._original)
            self._handler.removeFilter(_is_no_progress)


class _AboveBar:
    """A text stream that writes whole lines above the bar of a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._owner = os.getpid()

    def write(self, text: str) -> int:
        if os.getpid() != self._owner:
            # A forked process has a copy of the bar, and must not draw it.
            return sys.__stdout__.write(text) if sys.__stdout__ is not None else 0
        if line := text.rstrip("\n"):
            self._console.print(Text.from_ansi(line), soft_wrap=True)
        return len(text)

    def flush(self) -> None:
        self._console.file.flush()


def _is_no_progress(record: logging.LogRecord) -> bool:
    return _PROGRESS_LINE.match(record.getMessage()) is None


def _position(runner: Any) -> str:
    # After the last epoch the count is one too high.
    epoch = min(runner.epoch + 1, runner.max_epochs)
    return f"epoch {epoch}/{runner.max_epochs}" if runner.max_epochs > 1 else ""


def _measured(runner: Any) -> str:
    scalars = runner.message_hub.log_scalars
    shown = {"loss": ("loss", ".4f"), "lr": ("lr", ".2e"), "images_per_s": ("img/s", ".1f")}
    parts = [
        f"{label} {scalars[f'train/{name}'].current():{form}}"
        for name, (label, form) in shown.items()
        if f"train/{name}" in scalars
    ]
    return "  ".join([*parts, _eta(runner)])


def _eta(runner: Any) -> str:
    """Return MMEngine's estimate, as in the log file."""
    eta_s = runner.message_hub.get_info("eta")
    return "" if eta_s is None else f"eta {timedelta(seconds=int(eta_s))}"
