"""The worker processes of a data loader: kept out of signals, started anew when the data set has changed, and ended."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.utils.data import DataLoader

from vision_research.engine.batch_order import BatchStream
from vision_research.engine.stop_signal import survive_stop_signals


def shield_workers(dataloader: DataLoader[Any]) -> None:
    """Let the loader's future workers outlive Ctrl-C and SIGTERM, so that the training process can end in good order.

    Ctrl-C in a terminal and `scancel` signal every process of the job. A worker that dies of it makes the training
    process fail with "DataLoader worker exited unexpectedly" before it has saved. Workers still end with their parent:
    they notice within five seconds that it is gone.

    Only forked workers can be shielded, MMEngine's default; spawned ones die of the signal.
    """
    init = dataloader.worker_init_fn
    if dataloader.num_workers > 0 and getattr(init, "func", None) is not _start_shielded:
        dataloader.worker_init_fn = partial(_start_shielded, init)


def _start_shielded(init: Callable[[int], None] | None, worker_id: int) -> None:
    survive_stop_signals()
    # A forked worker inherits the streams that draw the progress bar; it must not draw into its parent's terminal.
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    if init is not None:
        init(worker_id)


def restart_workers(loop: Any, num_done: int) -> None:
    """Make the batches from `num_done` on come from the data set as it is now.

    Workers hold copies of the data set, made when they started, and have batches of the old kind in their queues.

    Args:
        loop: MMEngine's or our training loop; an epoch-based one must stand between two epochs.
        num_done: batches that an iteration-based loop has had.
    """
    # Where persistent workers are kept; others start anew with every `iter()`.
    loop.dataloader._iterator = None
    stream = getattr(loop, "dataloader_iterator", None)
    if isinstance(stream, BatchStream):
        stream.restart(num_done)
    elif stream is not None:
        loop.dataloader_iterator = BatchStream(loop.dataloader, num_done)


def end_workers(*loops: Any) -> None:
    """End the workers that loops have kept, in torch's way.

    At the exit of the interpreter `multiprocessing` would kill them before torch can end them, and torch would then
    complain of workers that died.

    Args:
        loops: MMEngine's or our loops; what was never built (a dict or None) is left alone.
    """
    for loop in loops:
        if isinstance(getattr(loop, "dataloader", None), DataLoader):
            loop.dataloader._iterator = None
        if hasattr(loop, "dataloader_iterator"):
            loop.dataloader_iterator = None
