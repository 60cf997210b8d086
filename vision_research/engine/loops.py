"""MMEngine's training loops, which resume at the exact batch without loading the batches before it.

They also repeat a validation in which a run was killed: MMEngine saves a checkpoint before it validates, and would
continue as if the validation had been done. Without a resume they behave exactly as their parents, including the
numbers drawn from the global random generator.
"""

from __future__ import annotations

import logging
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import LOOPS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from vision_research.engine.loader_workers import protect_workers
from vision_research.engine.skip_batches import BatchStream, iterate_from

_EPOCH_LENGTH = "epoch_length"
_VALIDATED_AT = "validated_at"


class _MissedValidation(Hook):
    """Validates before the training continues, after `before_train` of all other hooks."""

    priority = "LOWEST"

    def before_train(self, runner: Any) -> None:
        runner.val_loop.run()


class _ResumableLoop(BaseLoop):
    """What both loops share: they protect loader workers, and record at which iteration they validated last."""

    def __init__(self, runner: Any, dataloader: DataLoader[Any] | dict[str, Any], **kwargs: Any) -> None:
        # Four config files of MMDetection (solov2-light) pass this argument, which MMEngine's loops refuse.
        kwargs.pop("by_epoch", None)
        diff_rank_seed = runner._randomness_cfg.get("diff_rank_seed", False)
        # As `BaseLoop.__init__` does, but before an iteration-based loop starts the workers.
        loader = runner.build_dataloader(dataloader, seed=runner.seed, diff_rank_seed=diff_rank_seed)
        protect_workers(loader)
        super().__init__(runner, loader, **kwargs)

    def _decide_current_val_interval(self) -> None:
        super()._decide_current_val_interval()
        # MMEngine calls this right before it validates.
        self.runner.message_hub.update_info(_VALIDATED_AT, self._iter)


@LOOPS.register_module()
class ResumableEpochLoop(_ResumableLoop, EpochBasedTrainLoop):
    """Epoch-based training that resumes in the middle of an epoch with the remaining batches of that epoch.

    It takes the arguments of its parent.
    """

    def run(self) -> Any:
        """Train to the end; see the parent."""
        self._resume_at = self._batches_done()
        self.runner.message_hub.update_info(_EPOCH_LENGTH, len(self.dataloader))
        if self._resume_at == 0:
            _run_missed_validation(self, self._epoch, self._max_epochs)
        return super().run()

    def run_epoch(self) -> None:
        """Run an epoch, or the rest of a resumed one."""
        done, self._resume_at = self._resume_at, 0
        if done == 0:
            super().run_epoch()
            return
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        # After a stop at the last iteration only the hooks at the end of the epoch are left to run.
        remaining = iterate_from(self.dataloader, done) if done < len(self.dataloader) else iter(())
        for idx, data_batch in enumerate(remaining, start=done):
            self.run_iter(idx, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def _batches_done(self) -> int:
        """Return how many batches of the current epoch were done before the resume.

        With another batch size or number of ranks than in the checkpoint, the iteration does not tell the position in
        the epoch, and the epoch starts again.
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
class ResumableIterLoop(_ResumableLoop, IterBasedTrainLoop):
    """Iteration-based training that resumes with the next batch; it takes the arguments of its parent."""

    def run(self) -> Any:
        """Train to the end; see the parent."""
        if self._iter > 0:
            self.dataloader_iterator = BatchStream(self.dataloader, self._iter, num_ignored=self._iter)
            _run_missed_validation(self, self._iter, self._max_iters)
        return super().run()


def _run_missed_validation(loop: EpochBasedTrainLoop | IterBasedTrainLoop, done: int, total: int) -> None:
    """Validate first if the run was interrupted between a checkpoint and the validation after it.

    A checkpoint that the validation itself saved, as the best so far, records that the validation was done. `done` and
    `total` are in the unit of the loop, which has not started.
    """
    if done == 0 or loop.runner.val_loop is None or loop.runner.message_hub.get_info(_VALIDATED_AT) == loop.iter:
        return
    loop._decide_current_val_interval()
    if done >= loop.val_begin and (done % loop.val_interval == 0 or done == total):
        loop.runner.register_hook(_MissedValidation())
