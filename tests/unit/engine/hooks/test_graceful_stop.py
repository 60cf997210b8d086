from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook

from vision_research.engine.hooks.graceful_stop import TrainingStopped
from vision_research.engine.stop_signal import catch_stop_signals
from vision_research.work_dir import WorkDir

STOP = {"custom_hooks": [{"type": "GracefulStopHook"}]}
ITERS = {"train_cfg": {"type": "ResumableIterLoop", "max_iters": 12}}


class DoAt(Hook):
    """Does something before an iteration, counted from 1."""

    def __init__(self, iteration: int, action: Any) -> None:
        self.iteration = iteration
        self.action = action

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter + 1 == self.iteration:
            self.action()


@pytest.fixture
def run_dir(toy_config: dict[str, Any]) -> WorkDir:
    return WorkDir(Path(toy_config["work_dir"]))


def checkpointing(by_epoch: bool, interval: int, **settings: Any) -> dict[str, Any]:
    return {
        "default_hooks": {
            "checkpoint": {"type": "CheckpointHook", "interval": interval, "by_epoch": by_epoch, **settings}
        }
    }


def checkpoints(run_dir: WorkDir) -> list[str]:
    return sorted(path.name for path in run_dir.root.glob("*.pth"))


def test_a_stop_request_saves_after_the_iteration_and_ends_the_training(
    make_runner: Any, seen_class: Any, run_dir: WorkDir
) -> None:
    seen = seen_class()
    runner = make_runner(hooks=[seen, DoAt(8, run_dir.stop_request.touch)], **STOP)
    with pytest.raises(TrainingStopped, match=r"stopped as asked after iteration 8; saved .*/iter_8\.pth"):
        runner.train()

    assert len(seen.batches) == 8
    meta = torch.load(run_dir.root / "iter_8.pth", weights_only=True)["meta"]
    assert (meta["epoch"], meta["iter"]) == (1, 8)
    assert run_dir.last_checkpoint.read_text() == str(run_dir.root / "iter_8.pth")


@pytest.mark.slow
def test_the_resumed_run_sees_the_rest_and_deletes_the_stop_checkpoint_after_the_epochs_own(
    make_runner: Any, seen_class: Any, run_dir: WorkDir
) -> None:
    changes = {**STOP, **checkpointing(by_epoch=True, interval=1, max_keep_ckpts=2)}
    whole, first, second = seen_class(), seen_class(), seen_class()
    make_runner(hooks=[whole], **changes).train()
    runner = make_runner(hooks=[first, DoAt(8, run_dir.stop_request.touch)], **changes)
    with pytest.raises(TrainingStopped):
        runner.train()
    run_dir.stop_request.unlink()
    assert "iter_8.pth" in checkpoints(run_dir)
    make_runner(hooks=[second], **changes, load_from=str(run_dir.root / "iter_8.pth"), resume=True).train()

    assert first.batches + second.batches == whole.batches
    assert first.lrs + second.lrs == whole.lrs
    assert checkpoints(run_dir) == ["epoch_2.pth", "epoch_3.pth"]


@pytest.mark.slow
def test_an_iteration_based_stop_counts_among_the_checkpoints_that_are_kept(make_runner: Any, run_dir: WorkDir) -> None:
    changes = {**STOP, **ITERS, **checkpointing(by_epoch=False, interval=2, max_keep_ckpts=2)}
    runner = make_runner(hooks=[DoAt(7, run_dir.stop_request.touch)], **changes)
    with pytest.raises(TrainingStopped):
        runner.train()

    assert checkpoints(run_dir) == ["iter_6.pth", "iter_7.pth"]
    assert run_dir.last_checkpoint.read_text() == str(run_dir.root / "iter_7.pth")
    hub = torch.load(run_dir.root / "iter_7.pth", weights_only=True)["message_hub"]
    assert hub["runtime_info"]["keep_ckpt_ids"] == [6, 7]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_rank_stops_it_in_the_same_way(
    make_runner: Any, run_dir: WorkDir, number: signal.Signals
) -> None:
    runner = make_runner(hooks=[DoAt(3, lambda: os.kill(os.getpid(), number))], **STOP)
    before = signal.getsignal(number)
    with pytest.raises(TrainingStopped, match="after iteration 3"), catch_stop_signals():
        runner.train()

    assert (run_dir.root / "iter_3.pth").is_file()
    assert signal.getsignal(number) is before


@pytest.mark.slow
def test_loader_workers_outlive_the_signals_that_their_parent_catches(
    make_runner: Any, toy_config: dict[str, Any]
) -> None:
    loader = {**toy_config["train_dataloader"], "num_workers": 2, "persistent_workers": True}
    runner = make_runner(train_dataloader=loader, **STOP)

    def signal_workers() -> None:
        for worker in runner.train_loop.dataloader._iterator._workers:
            os.kill(worker.pid, signal.SIGTERM)
            os.kill(worker.pid, signal.SIGINT)

    runner.register_hook(DoAt(2, signal_workers))
    with catch_stop_signals():
        runner.train()
    assert runner.iter == 18
    runner.train_loop.dataloader._iterator = None


def test_all_ranks_stop_together_one_iteration_after_the_first_knows(
    make_runner: Any, run_dir: WorkDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is rank 0 of two; the other rank's wish arrives through the all-reduce."""
    sent: list[float] = []
    iteration_of_the_other = 5

    class Sum:
        def __init__(self, flag: torch.Tensor) -> None:
            sent.append(flag.item())
            self.flag, self.other = flag, float(len(sent) == iteration_of_the_other)

        def wait(self) -> None:
            self.flag += self.other

    monkeypatch.setattr("vision_research.engine.hooks.graceful_stop.dist.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_reduce", lambda flag, async_op: Sum(flag))
    with pytest.raises(TrainingStopped, match="after iteration 6"):
        make_runner(**STOP).train()

    assert sent == [0.0] * 6


def test_a_run_without_a_checkpoint_hook_is_refused(make_runner: Any) -> None:
    with pytest.raises(ValueError, match="keep `checkpoint` in default_hooks"):
        make_runner(default_hooks={"checkpoint": None}, **STOP).train()
