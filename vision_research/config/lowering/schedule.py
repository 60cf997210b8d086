"""Lowers the schedule: loops, optimizer, learning rate over time."""

from __future__ import annotations

from bisect import bisect
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from vision_research.config.lowering.inputs import LoweringInputs
from vision_research.config.lowering.recipe_schedule import (
    recipe_loop,
    recipe_schedulers,
    recipe_words,
    with_defaults,
)
from vision_research.config.lowering.semi_supervised import labelled_per_batch, validation_loop
from vision_research.config.schema import DataKind, Decay, Precision, ScheduleConfig, TrainConfig

SGD = {"type": "SGD", "lr": 0.02, "momentum": 0.9, "weight_decay": 0.0001}


@dataclass(frozen=True)
class LearningRate:
    """The learning rate of the run and how it came about.

    Attributes:
        value: what the optimizer gets.
        base: what was typed, or what the recipe says.
        effective_batch: images per optimizer step: batch x ranks x accumulation.
        base_batch: the batch that `base` is meant for; None where nobody said.
    """

    value: float
    base: float
    effective_batch: int
    base_batch: int | None

    @property
    def explanation(self) -> str:
        """One line for the log."""
        if self.value == self.base:
            return f"lr {self.value:g}, effective batch {self.effective_batch}, not scaled"
        return (
            f"lr {self.value:g} = {self.base:g} x effective batch {self.effective_batch} / base batch {self.base_batch}"
        )


def learning_rate(config: TrainConfig, inputs: LoweringInputs) -> LearningRate:
    """Scale the learning rate linearly with the effective batch (Goyal et al., arXiv:1706.02677)."""
    schedule, recipe = config.schedule, config.schedule.recipe or config.model.get("recipe") or {}
    effective = config.data.batch_size * inputs.world_size * schedule.accumulation
    base_batch = schedule.base_batch_size or recipe.get("base_batch_size")
    typed = schedule.lr is not None
    base = float(schedule.lr if schedule.lr is not None else _optimizer(config)["lr"])
    # With its own data a zoo file trains as MMDetection trains it, which scales only where it is told to.
    as_written = schedule.recipe is not None and config.data.kind is DataKind.zoo
    scaled = schedule.auto_scale_lr if schedule.auto_scale_lr is not None else not (typed or as_written)
    value = base * effective / base_batch if scaled and base_batch else base
    return LearningRate(value, base, effective, base_batch)


def lower_schedule(config: TrainConfig, inputs: LoweringInputs) -> dict[str, Any]:
    """Return the loops, the optimizer wrapper and the parameter schedulers."""
    lr = learning_rate(config, inputs)
    # Applied here, with accumulation counted; MMEngine's own does not count it.
    scaling = {"enable": False, "base_batch_size": lr.base_batch or lr.effective_batch}
    if config.schedule.recipe is not None:
        return _from_recipe(config, inputs, lr)
    return {
        "train_cfg": _train_loop(config.schedule),
        "val_cfg": validation_loop(config.model, {"type": "ValLoop"}),
        "test_cfg": {"type": "TestLoop"},
        "optim_wrapper": _optim_wrapper(config, inputs, lr.value),
        "param_scheduler": _param_scheduler(config, config.schedule, inputs, lr.value),
        "auto_scale_lr": scaling,
    }


def _from_recipe(config: TrainConfig, inputs: LoweringInputs, lr: LearningRate) -> dict[str, Any]:
    words = recipe_words(config.schedule)
    own = _param_scheduler(config, with_defaults(config.schedule), inputs, lr.value)
    schedulers = recipe_schedulers(config.schedule, lr.value / recipe_optimizer(config)["lr"], own)
    return {
        "train_cfg": recipe_loop(config.schedule),
        "val_cfg": validation_loop(config.model, words["val_cfg"]),
        "test_cfg": words["test_cfg"],
        "optim_wrapper": _optim_wrapper(config, inputs, lr.value),
        **({"param_scheduler": schedulers} if schedulers or "param_scheduler" in words else {}),
        **({"auto_scale_lr": words["auto_scale_lr"]} if "auto_scale_lr" in words else {}),
    }


def length(schedule: ScheduleConfig) -> int:
    """Return the length of the training, in epochs or iterations, whichever it counts in."""
    value = schedule.max_epochs if schedule.max_iters is None else schedule.max_iters
    assert value is not None, "validate() asks for one of schedule.max_epochs and schedule.max_iters"
    return value


def validation_points(schedule: ScheduleConfig) -> list[int]:
    """Return after which epochs (or iterations) MMEngine validates, with its own arithmetic.

    Both of its loops choose the interval for `done + 1` and then ask whether `done` is a multiple of it.
    """
    end = length(schedule)
    intervals = sorted([[0, schedule.val_interval], *schedule.dynamic_intervals])
    starts = [start for start, _ in intervals]
    points, done = [], 0
    while done < end:
        interval = intervals[bisect(starts, done + 1) - 1][1]
        later = [start - 1 for start in starts if start - 1 > done]
        # Jump to the next multiple, or to where the interval changes.
        done = min([done - done % interval + interval, *later, end])
        if done % intervals[bisect(starts, done + 1) - 1][1] == 0 or done == end:
            points.append(done)
    return points


def _train_loop(schedule: ScheduleConfig) -> dict[str, Any]:
    by_epoch = schedule.max_iters is None
    loop: dict[str, Any] = {
        "type": "ResumableEpochLoop" if by_epoch else "ResumableIterLoop",
        "max_epochs" if by_epoch else "max_iters": length(schedule),
        "val_interval": schedule.val_interval,
    }
    if schedule.dynamic_intervals:
        # MMEngine compares these with tuples of its own.
        loop["dynamic_intervals"] = [(start, interval) for start, interval in schedule.dynamic_intervals]
    return loop


def _optimizer(config: TrainConfig) -> dict[str, Any]:
    schedule = config.schedule
    optimizer = recipe_optimizer(config)
    if schedule.optimizer not in (None, optimizer["type"]):
        # Another optimizer's arguments mean nothing to this one; validate() asks for its learning rate.
        optimizer = {"type": schedule.optimizer, "lr": schedule.lr, "weight_decay": 0.0}
    if schedule.weight_decay is not None:
        optimizer["weight_decay"] = schedule.weight_decay
    return {**optimizer, **deepcopy(schedule.optimizer_args)}


def recipe_optimizer(config: TrainConfig) -> dict[str, Any]:
    """Return the optimizer of the recipe: the schedule's own, or what the detector's authors used."""
    return deepcopy(_recipe_wrapper(config).get("optimizer") or SGD)


def _recipe_wrapper(config: TrainConfig) -> dict[str, Any]:
    if config.schedule.recipe is not None:
        return dict(recipe_words(config.schedule).get("optim_wrapper") or {})
    return dict((config.model.get("recipe") or {}).get("optim_wrapper") or {})


def _optim_wrapper(config: TrainConfig, inputs: LoweringInputs, lr: float) -> dict[str, Any]:
    schedule = config.schedule
    wrapper: dict[str, Any] = deepcopy(_recipe_wrapper(config))
    if schedule.recipe is None or not inputs.on_gpu:
        # What is mixed precision is said by `hw.precision`, and on a CPU MMEngine has none.
        wrapper |= {"type": "OptimWrapper"}
        for key in ("loss_scale", "dtype"):
            wrapper.pop(key, None)
    wrapper["optimizer"] = {**_optimizer(config), "lr": lr}
    if schedule.clip_grad is not None:
        wrapper["clip_grad"] = {"max_norm": schedule.clip_grad, "norm_type": 2} if schedule.clip_grad > 0 else None
    if schedule.accumulation != wrapper.get("accumulative_counts", 1):
        wrapper["accumulative_counts"] = schedule.accumulation
    if config.hw.precision is Precision.fp16:
        wrapper |= {"type": "AmpOptimWrapper", "dtype": "float16", "loss_scale": "dynamic"}
    if config.hw.precision is Precision.bf16:
        wrapper["type"] = "BFloat16OptimWrapper"
    return wrapper


def _param_scheduler(
    config: TrainConfig, schedule: ScheduleConfig, inputs: LoweringInputs, lr: float
) -> list[dict[str, Any]]:
    assert schedule.warmup_iters is not None, "validate() asks for it where no zoo file has a warm-up"
    by_epoch, end = schedule.max_iters is None, length(schedule)
    per_epoch = inputs.iters_per_epoch(labelled_per_batch(config), config.data.repeat)
    total_iters = end * per_epoch if by_epoch else end
    # A warm-up longer than a tenth of a short training would be most of it.
    warmup = min(schedule.warmup_iters, total_iters // 10)
    schedulers: list[dict[str, Any]] = []
    if warmup > 0:
        factor = schedule.warmup_start_factor
        schedulers.append({"type": "LinearLR", "start_factor": factor, "by_epoch": False, "begin": 0, "end": warmup})
    return schedulers + _decay(schedule, by_epoch, end, lr)


def _decay(schedule: ScheduleConfig, by_epoch: bool, end: int, lr: float) -> list[dict[str, Any]]:
    assert schedule.milestones is not None and schedule.decay_begin is not None and schedule.min_lr_factor is not None
    if schedule.decay is Decay.multistep:
        milestones = sorted({min(end, max(1, round(share * end))) for share in schedule.milestones})
        step = {"type": "MultiStepLR", "begin": 0, "end": end, "by_epoch": by_epoch}
        return [{**step, "milestones": milestones, "gamma": schedule.gamma}]
    if schedule.decay is Decay.cosine:
        begin = min(end - 1, round(schedule.decay_begin * end))
        cosine = {"type": "CosineAnnealingLR", "begin": begin, "end": end, "T_max": end - begin, "by_epoch": by_epoch}
        return [
            {**cosine, "eta_min": lr * schedule.min_lr_factor, **({"convert_to_iter_based": True} if by_epoch else {})}
        ]
    return []
