"""The worker processes of a data loader: how signals reach them, and how they are stopped."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.utils.data import DataLoader

from vision_research.engine.stop_signal import ignore_stop_signals_of_parent
from vision_research.processes.command import signal_when_parent_dies


def protect_workers(dataloader: DataLoader[Any]) -> None:
    """Make the loader's future workers ignore Ctrl-C and SIGTERM, so that the training process can stop in order.

    Ctrl-C in a terminal and `scancel` signal every process of the job. If a worker dies of it, the training process
    fails with "DataLoader worker exited unexpectedly" before it has saved a checkpoint. Workers still end with their
    parent.

    This works for forked workers, MMEngine's default; spawned ones die of the signal.
    """
    init = dataloader.worker_init_fn
    if dataloader.num_workers > 0 and getattr(init, "func", None) is not _start_protected:
        dataloader.worker_init_fn = partial(_start_protected, init)


def _start_protected(init: Callable[[int], None] | None, worker_id: int) -> None:
    ignore_stop_signals_of_parent()
    # torch's workers look for their parent every five seconds, but not while they read an image.
    signal_when_parent_dies(signal.SIGKILL)
    # A forked worker inherits the streams that draw the progress bar; it must not draw into its parent's terminal.
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    if init is not None:
        init(worker_id)


def stop_workers(*loops: Any) -> None:
    """Stop the workers of loops in torch's way.

    At the exit of the interpreter `multiprocessing` would kill them before torch can stop them, and torch would then
    report workers that died. Loops that were never built (a dict or None) are left alone.
    """
    for loop in loops:
        if isinstance(getattr(loop, "dataloader", None), DataLoader):
            loop.dataloader._iterator = None
        if hasattr(loop, "dataloader_iterator"):
            loop.dataloader_iterator = None
