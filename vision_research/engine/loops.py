"""Training loops that go on exactly where they were: MMEngine's own, plus a resume that decodes nothing twice.

It also makes up for the validation that a run was killed in: MMEngine saves before it validates, and would go on as if
that one had been done. Without a resume they do exactly what their parents do, down to the draws from the global random
generator.
"""

from __future__ import annotations

import logging
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from vision_research.engine.batch_order import BatchStream, iterate_from
from vision_research.engine.loader_workers import shield_workers

_EPOCH_LENGTH = "epoch_length"
_VALIDATED_AT = "validated_at"


class _MissedValidation(Hook):
    """Validates before the training goes on, once `before_train` has made all other hooks ready."""

    priority = "LOWEST"

    def before_train(self, runner: Any) -> None:
        runner.val_loop.run()


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """Epoch-based training; a checkpoint from the middle of an epoch continues with that epoch's remaining batches.

    Args:
        runner: the MMEngine runner.
        dataloader: the training data loader, or its config.
        **kwargs: `max_epochs`, `val_begin`, `val_interval`, `dynamic_intervals` of the parent.
    """

    def __init__(self, runner: Any, dataloader: DataLoader[Any] | dict[str, Any], **kwargs: Any) -> None:
        # Four files of the zoo (solov2-light) give it this word too, which MMEngine's own loop refuses.
        kwargs.pop("by_epoch", None)
        super().__init__(runner, _built(runner, dataloader), **kwargs)

    def run(self) -> Any:
        """Train to the end; see the parent."""
        self._resume_at = self._batches_done()
        self.runner.message_hub.update_info(_EPOCH_LENGTH, len(self.dataloader))
        if self._resume_at == 0:
            _make_up_for_validation(self, self._epoch, self._max_epochs)
        return super().run()

    def run_epoch(self) -> None:
        """Run one epoch, or what a resumed one has left."""
        done, self._resume_at = self._resume_at, 0
        if done == 0:
            super().run_epoch()
            return
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        # A stop may fall on the last iteration: then only the end of the epoch is left to do.
        remaining = iterate_from(self.dataloader, done) if done < len(self.dataloader) else iter(())
        for idx, data_batch in enumerate(remaining, start=done):
            self.run_iter(idx, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def _decide_current_val_interval(self) -> None:
        super()._decide_current_val_interval()
        # MMEngine calls this right before it validates.
        self.runner.message_hub.update_info(_VALIDATED_AT, self._iter)

    def _batches_done(self) -> int:
        """Batches of the current epoch that a resumed training has had.

        The checkpoint says how long its epochs were: with another batch size or number of ranks, iterations no longer
        tell the place in the epoch, and an epoch that was begun is begun again.
        """
        length = self.runner.message_hub.get_info(_EPOCH_LENGTH, len(self.dataloader))
        done = self._iter - self._epoch * length
        if done == 0 or (length == len(self.dataloader) and 0 < done <= length):
            return int(done)
        print_log(
            f"The checkpoint is from a run with {length} batches an epoch, this one has {len(self.dataloader)}: "
            f"epoch {self._epoch + 1} starts from its first batch.",
            logger="current",
            level=logging.WARNING,
        )
        return 0


@LOOPS.register_module()
class ResumableIterLoop(IterBasedTrainLoop):
    """Iteration-based training; a resume continues with the next batch of the endless order.

    Args:
        runner: the MMEngine runner.
        dataloader: the training data loader, or its config.
        **kwargs: `max_iters`, `val_begin`, `val_interval`, `dynamic_intervals` of the parent.
    """

    def __init__(self, runner: Any, dataloader: DataLoader[Any] | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(runner, _built(runner, dataloader), **kwargs)

    def run(self) -> Any:
        """Train to the end; see the parent."""
        if self._iter > 0:
            self.dataloader_iterator = BatchStream(self.dataloader, self._iter, num_ignored=self._iter)
            _make_up_for_validation(self, self._iter, self._max_iters)
        return super().run()

    def _decide_current_val_interval(self) -> None:
        super()._decide_current_val_interval()
        self.runner.message_hub.update_info(_VALIDATED_AT, self._iter)


def _make_up_for_validation(loop: EpochBasedTrainLoop | IterBasedTrainLoop, done: int, total: int) -> None:
    """Validate first, if the run was interrupted between a checkpoint and the validation that was due after it.

    A checkpoint saved by that validation (it was the best so far) carries the mark that it was held.

    Args:
        loop: before it runs.
        done: epochs or iterations done, whichever it counts in.
        total: the same of the whole training.
    """
    if done == 0 or loop.runner.val_loop is None or loop.runner.message_hub.get_info(_VALIDATED_AT) == loop.iter:
        return
    loop._decide_current_val_interval()
    if done >= loop.val_begin and (done % loop.val_interval == 0 or done == total):
        loop.runner.register_hook(_MissedValidation())


def _built(runner: Any, dataloader: DataLoader[Any] | dict[str, Any]) -> DataLoader[Any]:
    """Build the loader as `BaseLoop.__init__` does, but before an iteration-based parent starts its workers."""
    diff_rank_seed = runner._randomness_cfg.get("diff_rank_seed", False)
    # A loader that is built already comes back as it is.
    built: DataLoader[Any] = runner.build_dataloader(dataloader, seed=runner.seed, diff_rank_seed=diff_rank_seed)
    shield_workers(built)
    return built
