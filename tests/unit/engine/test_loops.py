from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.hooks import Hook

EPOCHS = {"type": "ResumableEpochLoop", "max_epochs": 3}
ITERS = {"type": "ResumableIterLoop", "max_iters": 15, "val_interval": 100}


class SaveThenCrash(Hook):
    priority = "LOWEST"

    def __init__(self, after: int) -> None:
        self.after = after

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if runner.iter + 1 == self.after:
            meta = {"epoch": runner.epoch, "iter": runner.iter + 1}
            runner.save_checkpoint(runner.work_dir, "stop.pth", meta=meta, by_epoch=False)
            raise KeyboardInterrupt


class CountLoads(Hook):
    """Counts how often the training data set was asked for an image, where no worker process hides it."""

    def before_train(self, runner: Any) -> None:
        dataset, self.count = runner.train_dataloader.dataset, 0
        original = dataset.prepare_data

        def prepare(index: int) -> Any:
            self.count += 1
            return original(index)

        dataset.prepare_data = prepare


def changes_for(loop: dict[str, Any], toy_config: dict[str, Any], sampler: str, workers: int = 0) -> dict[str, Any]:
    loader = {**toy_config["train_dataloader"], "sampler": {"type": sampler, "shuffle": True}, "num_workers": workers}
    if workers:
        loader["persistent_workers"] = True
    by_epoch = loop["type"] == "ResumableEpochLoop"
    checkpoint = {"type": "CheckpointHook", "interval": 1000, "by_epoch": by_epoch}
    hooks = {**toy_config["default_hooks"], "checkpoint": checkpoint}
    return {"train_cfg": loop, "train_dataloader": loader, "default_hooks": hooks}


def train_and_end_workers(runner: Any) -> None:
    """Train; left to the garbage collector, persistent workers of many runners in one process take seconds to end."""
    try:
        runner.train()
    finally:
        runner.train_loop.dataloader_iterator = runner.train_loop.dataloader._iterator = None


CASES = [
    (EPOCHS, "DefaultSampler", 4),
    (EPOCHS, "DefaultSampler", 9),
    (EPOCHS, "DefaultSampler", 12),
    (ITERS, "InfiniteSampler", 4),
    (ITERS, "InfiniteSampler", 11),
    (ITERS, "DefaultSampler", 9),
]


@pytest.mark.slow
@pytest.mark.parametrize(("loop", "sampler", "stop_after"), CASES)
@pytest.mark.parametrize(("rank", "world_size"), [(0, 1), (1, 2)])
def test_an_interrupted_and_resumed_run_sees_what_an_uninterrupted_one_sees(
    make_runner: Any,
    toy_config: dict[str, Any],
    seen_class: Any,
    monkeypatch: pytest.MonkeyPatch,
    loop: dict[str, Any],
    sampler: str,
    stop_after: int,
    rank: int,
    world_size: int,
) -> None:
    monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda: (rank, world_size))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    stop_after = stop_after // world_size
    changes = changes_for(loop, toy_config, sampler)
    whole, first, second, loads = seen_class(), seen_class(), seen_class(), CountLoads()
    make_runner(**changes, hooks=[whole]).train()
    with pytest.raises(KeyboardInterrupt):
        make_runner(**changes, hooks=[first, SaveThenCrash(stop_after)]).train()
    resumed = make_runner(**changes, hooks=[second, loads], load_from=f"{toy_config['work_dir']}/stop.pth", resume=True)
    resumed.train()

    assert first.batches + second.batches == whole.batches
    assert len(whole.batches) == (15 if loop is ITERS else 18 // world_size)
    assert first.lrs + second.lrs == whole.lrs
    assert loads.count == sum(len(batch) for batch in second.batches), "a batch was decoded that was not trained on"


@pytest.mark.slow
@pytest.mark.parametrize(("loop", "sampler"), [(EPOCHS, "DefaultSampler"), (ITERS, "InfiniteSampler")])
def test_prefetching_workers_and_reordering_batch_samplers_keep_their_place(
    make_runner: Any, toy_config: dict[str, Any], seen_class: Any, loop: dict[str, Any], sampler: str
) -> None:
    changes = changes_for(loop, toy_config, sampler, workers=2)
    changes["train_dataloader"]["batch_sampler"] = {"type": "mmdet.AspectRatioBatchSampler"}
    whole, first, second = seen_class(), seen_class(), seen_class()
    train_and_end_workers(make_runner(**changes, hooks=[whole]))
    with pytest.raises(KeyboardInterrupt):
        train_and_end_workers(make_runner(**changes, hooks=[first, SaveThenCrash(5)]))
    resume = {"load_from": f"{toy_config['work_dir']}/stop.pth", "resume": True}
    train_and_end_workers(make_runner(**changes, **resume, hooks=[second]))

    assert first.batches + second.batches == whole.batches
    assert len(second.batches) == len(whole.batches) - 5 > 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "stock", "sampler"),
    [
        (EPOCHS, {"type": "EpochBasedTrainLoop", "max_epochs": 3}, "DefaultSampler"),
        (ITERS, {"type": "IterBasedTrainLoop", "max_iters": 15, "val_interval": 100}, "InfiniteSampler"),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_without_a_resume_the_losses_are_those_of_the_stock_loop(
    make_runner: Any,
    toy_config: dict[str, Any],
    seen_class: Any,
    ours: dict[str, Any],
    stock: dict[str, Any],
    sampler: str,
    workers: int,
) -> None:
    changes, seen_ours, seen_stock = changes_for(ours, toy_config, sampler, workers), seen_class(), seen_class()
    train_and_end_workers(make_runner(**changes, hooks=[seen_ours]))
    draw_after_ours = torch.rand(1)
    train_and_end_workers(make_runner(**{**changes, "train_cfg": stock}, hooks=[seen_stock]))

    assert seen_ours.losses == seen_stock.losses
    assert torch.equal(draw_after_ours, torch.rand(1)), "the loop has drawn from the global random generator"


def test_an_epoch_is_begun_again_when_its_length_has_changed(
    make_runner: Any, toy_config: dict[str, Any], seen_class: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = changes_for(EPOCHS, toy_config, "DefaultSampler")
    with pytest.raises(KeyboardInterrupt):
        make_runner(**changes, hooks=[SaveThenCrash(8)]).train()
    changes["train_dataloader"]["batch_size"] = 3
    seen = seen_class()
    make_runner(**changes, hooks=[seen], load_from=f"{toy_config['work_dir']}/stop.pth", resume=True).train()

    assert len(seen.batches) == 8, "the second and the third epoch, of four batches each"
    assert sorted(sum(seen.batches[:4], [])) == list(range(12))
    message = "from a run with 6 batches an epoch, this one has 4: epoch 2 starts from its first batch"
    assert message in capsys.readouterr().out


class Validations(Hook):
    """Notes the iterations at which a validation ended; dies in the middle of one."""

    def __init__(self, die_in: int | None = None) -> None:
        self.iterations: list[int] = []
        self.die_in = die_in

    def before_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == self.die_in:
            raise KeyboardInterrupt

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        self.iterations.append(runner.iter)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loop", "sampler", "killed_in"),
    [
        (EPOCHS, "DefaultSampler", 12),
        (EPOCHS, "DefaultSampler", 18),
        ({**ITERS, "val_interval": 5}, "InfiniteSampler", 10),
    ],
)
def test_a_run_killed_in_a_validation_makes_up_for_it_when_resumed(
    make_runner: Any, toy_config: dict[str, Any], with_validation: Any, loop: Any, sampler: str, killed_in: int
) -> None:
    changes = changes_for(loop, toy_config, sampler) | with_validation([0.5, 0.4, 0.3])
    by_epoch = loop["type"] == "ResumableEpochLoop"
    interval = 1 if by_epoch else 5
    changes["default_hooks"]["checkpoint"] = {"type": "CheckpointHook", "interval": interval, "by_epoch": by_epoch}
    first, second = Validations(die_in=killed_in), Validations()
    with pytest.raises(KeyboardInterrupt):
        make_runner(**changes, hooks=[first]).train()
    last = f"{toy_config['work_dir']}/" + (f"epoch_{killed_in // 6}.pth" if by_epoch else f"iter_{killed_in}.pth")
    make_runner(**changes, hooks=[second], load_from=last, resume=True).train()

    assert first.iterations + second.iterations == ([6, 12, 18] if by_epoch else [5, 10, 15])


@pytest.mark.slow
def test_a_validation_that_was_held_is_not_held_again(
    make_runner: Any, toy_config: dict[str, Any], with_validation: Any
) -> None:
    best = {"type": "CheckpointHook", "interval": 1, "save_best": "toy/mAP", "rule": "greater"}
    changes = {"default_hooks": {"checkpoint": best}}
    make_runner(**changes, **with_validation([0.1, 0.2, 0.3])).train()
    validations = Validations()
    # It was the best so far, so MMEngine has saved epoch_2.pth again after it.
    last = f"{toy_config['work_dir']}/epoch_2.pth"
    make_runner(**changes, **with_validation([0.3]), hooks=[validations], load_from=last, resume=True).train()

    assert validations.iterations == [18]
