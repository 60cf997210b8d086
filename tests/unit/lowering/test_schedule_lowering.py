"""Lowering of a schedule: learning rate, optimizer, milestones, and when it is validated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_research.config.schema import TrainConfig
from vision_research.lowering import lower
from vision_research.lowering.schedule import learning_rate, validation_points
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify

Compose = Callable[..., TrainConfig]


def inputs(**changes: Any) -> LoweringInputs:
    return LoweringInputs(**{"work_dir": Path("/runs/x"), "classes": ("a", "b", "c"), "num_train": 100, **changes})


def lowered(typed: Compose, *overrides: str, **changes: Any) -> dict[str, Any]:
    return lower(specify(typed(*overrides)), inputs(**changes))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "world_size", "expected"),
    [
        (["model=retinanet", "schedule=1x", "data.batch_size=2"], 8, 0.01),
        (["model=retinanet", "schedule=1x", "data.batch_size=2"], 1, 0.01 / 8),
        (["model=retinanet", "schedule=1x", "data.batch_size=2", "schedule.accumulation=8"], 1, 0.01),
        (["model=retinanet", "schedule=1x", "schedule.lr=0.02", "data.batch_size=2"], 1, 0.02),
        (["model=retinanet", "schedule.lr=0.02", "schedule.auto_scale_lr=true", "data.batch_size=2"], 1, 0.005),
        (["model=retinanet", "schedule=1x", "schedule.auto_scale_lr=false", "data.batch_size=2"], 1, 0.01),
        (["model=rtmdet_tiny", "schedule=300e", "data.batch_size=32"], 8, 0.004),
    ],
)  # fmt: skip
def test_learning_rate_follows_the_effective_batch(
    typed: Compose, overrides: list[str], world_size: int, expected: float
) -> None:
    lr = learning_rate(typed(*overrides), inputs(world_size=world_size))
    assert lr.value == pytest.approx(expected)
    assert lowered(typed, *overrides, world_size=world_size)["optim_wrapper"]["optimizer"]["lr"] == lr.value


@pytest.mark.slow
def test_accumulation_clipping_and_precision_reach_the_optimizer_wrapper(typed: Compose) -> None:
    tree = lowered(typed, "schedule.accumulation=4", "schedule.clip_grad=0.1", "hw.precision=bf16")
    wrapper = tree["optim_wrapper"]
    assert wrapper["type"] == "BFloat16OptimWrapper"
    assert wrapper["accumulative_counts"] == 4
    assert wrapper["clip_grad"] == {"max_norm": 0.1, "norm_type": 2}
    assert lowered(typed, "hw.precision=fp16", on_gpu=True)["optim_wrapper"]["type"] == "AmpOptimWrapper"


@pytest.mark.slow
def test_the_optimizer_is_the_recipes_unless_another_is_typed(typed: Compose) -> None:
    recipe = {"type": "AdamW", "lr": 0.002, "weight_decay": 0.05}
    assert lowered(typed, "schedule.lr=0.002")["optim_wrapper"]["optimizer"] == recipe
    lighter = lowered(typed, "schedule.lr=0.002", "schedule.weight_decay=0.01")["optim_wrapper"]["optimizer"]
    assert lighter == {**recipe, "weight_decay": 0.01}
    sgd = ("schedule.optimizer=SGD", "schedule.lr=0.1", "+schedule.optimizer_args.momentum=0.9")
    assert lowered(typed, *sgd)["optim_wrapper"]["optimizer"] == {
        "type": "SGD",
        "lr": 0.1,
        "weight_decay": 0.0,
        "momentum": 0.9,
    }


@pytest.mark.slow
def test_validation_changes_its_rhythm(typed: Compose) -> None:
    by_epoch = lowered(typed, "schedule=2x", "schedule.val_interval=5", "schedule.dynamic_intervals=[[20,1]]")
    assert by_epoch["train_cfg"] == {
        "type": "ResumableEpochLoop",
        "max_epochs": 24,
        "val_interval": 5,
        "dynamic_intervals": [(20, 1)],
    }
    by_iter = lowered(typed, "schedule=iters", "schedule.max_iters=900", "schedule.dynamic_intervals=[[600,10]]")
    assert by_iter["train_cfg"]["type"] == "ResumableIterLoop"
    assert by_iter["train_cfg"]["dynamic_intervals"] == [(600, 10)]
    assert by_iter["train_dataloader"]["sampler"]["type"] == "InfiniteSampler"


@pytest.mark.parametrize(
    ("overrides", "points"),
    [
        (["max_epochs=12", "val_interval=5"], [5, 10, 12]),
        (["max_epochs=22", "val_interval=5", "dynamic_intervals=[[20,1]]"], [5, 10, 15, 19, 20, 21, 22]),
        (["max_epochs=7", "val_interval=3", "dynamic_intervals=[[5,1]]"], [3, 4, 5, 6, 7]),
        (["max_epochs=null", "max_iters=40", "val_interval=15", "dynamic_intervals=[[31,4]]"], [15, 32, 36, 40]),
    ],
)
def test_the_rhythm_of_validation_can_be_told_beforehand(
    typed: Compose, overrides: list[str], points: list[int]
) -> None:
    words = [f"schedule.{override}" for override in overrides]
    assert validation_points(typed(*words).schedule) == points


@pytest.mark.slow
def test_milestones_follow_the_length_of_the_training(typed: Compose) -> None:
    assert lowered(typed, "schedule=1x", num_train=10**5)["param_scheduler"][-1]["milestones"] == [8, 11]
    assert lowered(typed, "schedule=2x", num_train=10**5)["param_scheduler"][-1]["milestones"] == [16, 22]
    halved = lowered(typed, "schedule=1x", "schedule.max_epochs=6", num_train=10**5)
    assert halved["param_scheduler"][-1]["milestones"] == [4, 6]


@pytest.mark.slow
def test_warm_up_is_at_most_a_tenth_of_a_short_training(typed: Compose) -> None:
    tree = lowered(typed, "schedule=1x", "data.batch_size=10", num_train=100)
    assert tree["param_scheduler"][0]["end"] == 12
    assert lowered(typed, "schedule=1x", num_train=10**5)["param_scheduler"][0]["end"] == 500
