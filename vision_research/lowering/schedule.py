"""Lowers the schedule: loops, optimizer, learning rate schedulers."""

from __future__ import annotations

from bisect import bisect
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from vision_research.config.schema import Decay, Precision, ScheduleConfig, TrainConfig
from vision_research.config.zoo_entries import recipe_optim_wrapper, recipe_optimizer, zoo_excerpt
from vision_research.lowering.recipe_schedule import (
    recipe_loop,
    recipe_schedulers,
    with_defaults,
)
from vision_research.protocols import LoweringInputs, LoweringSpec
from vision_research.registry import FEEDS


@dataclass(frozen=True)
class LearningRate:
    """The learning rate of a run and how it was computed.

    Attributes:
        value: learning rate of the optimizer.
        base: `schedule.lr`, or the recipe's.
        effective_batch: images per optimizer step: batch x ranks x accumulation.
        base_batch: the batch size that `base` is meant for; None where it is not known.
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
    """Scale the learning rate linearly with the effective batch (Goyal et al., arXiv:1706.02677).

    Args:
        config: the run.
        inputs: number of ranks.
    """
    schedule, recipe = config.schedule, config.schedule.recipe or config.model_recipe
    effective = config.data.batch_size * inputs.world_size * schedule.accumulation
    base_batch = schedule.base_batch_size or recipe.get("base_batch_size")
    typed = schedule.lr is not None
    base = float(schedule.lr if schedule.lr is not None else _optimizer(config)["lr"])
    # MMDetection does not scale unless asked to, so neither is a zoo file's schedule scaled with its own data.
    as_written = schedule.recipe is not None and config.data.uses_zoo_file
    scaled = schedule.auto_scale_lr if schedule.auto_scale_lr is not None else not (typed or as_written)
    value = base * effective / base_batch if scaled and base_batch else base
    return LearningRate(value, base, effective, base_batch)


def lower_schedule(run: LoweringSpec) -> dict[str, Any]:
    """Return the loops, the optimizer wrapper and the parameter schedulers."""
    config, lr = run.config, learning_rate(run.config, run.inputs)
    per_epoch = run.inputs.iters_per_epoch(run.counted_batch_size, run.data.repeat)
    if config.schedule.recipe is not None:
        return _from_recipe(run, lr, per_epoch)
    return {
        "train_cfg": _train_loop(config.schedule),
        "val_cfg": _validation_loop(run, {"type": "ValLoop"}),
        "test_cfg": {"type": "TestLoop"},
        "optim_wrapper": _optim_wrapper(run, lr.value),
        "param_scheduler": _param_scheduler(config.schedule, per_epoch, lr.value),
        # Scaling is already applied; MMEngine's own would ignore accumulation.
        "auto_scale_lr": {"enable": False, "base_batch_size": lr.base_batch or lr.effective_batch},
    }


def _from_recipe(run: LoweringSpec, lr: LearningRate, per_epoch: int) -> dict[str, Any]:
    config = run.config
    excerpt = zoo_excerpt(config.schedule.recipe)
    own = _param_scheduler(with_defaults(config.schedule), per_epoch, lr.value)
    schedulers = recipe_schedulers(config.schedule, excerpt, lr.value / recipe_optimizer(config)["lr"], own)
    return {
        "train_cfg": recipe_loop(config.schedule, excerpt),
        "val_cfg": _validation_loop(run, excerpt["val_cfg"]),
        "test_cfg": excerpt["test_cfg"],
        "optim_wrapper": _optim_wrapper(run, lr.value),
        **({"param_scheduler": schedulers} if schedulers or "param_scheduler" in excerpt else {}),
        **({"auto_scale_lr": excerpt["auto_scale_lr"]} if "auto_scale_lr" in excerpt else {}),
    }


def validation_points(schedule: ScheduleConfig) -> list[int]:
    """Return the epochs (or iterations) after which MMEngine validates.

    Both of its loops choose the interval for `done + 1` and then check whether `done` is a multiple of it.
    """
    end = schedule.length
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


def describe_validation(schedule: ScheduleConfig) -> str:
    """Return a sentence about when the run validates."""
    points, unit = validation_points(schedule), "epochs" if schedule.by_epoch else "iterations"
    shown = [str(point) for point in points] if len(points) <= 12 else [*map(str, points[:8]), "...", str(points[-1])]
    return f"validation after {unit} {', '.join(shown)}"


def _validation_loop(run: LoweringSpec, loop: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the schedule's validation loop, which may be None, with the type that the feeds of the run need."""
    plain = "ValLoop"
    wanted = next((feed.validation_loop for feed in run.feeds if feed.validation_loop != plain), plain)
    of_feeds = {feed.validation_loop for feed in FEEDS} - {plain}
    if loop is None or (wanted == plain and loop.get("type") not in of_feeds):
        return loop
    return {**loop, "type": wanted}


def _train_loop(schedule: ScheduleConfig) -> dict[str, Any]:
    by_epoch = schedule.by_epoch
    loop: dict[str, Any] = {
        "type": "ResumableEpochLoop" if by_epoch else "ResumableIterLoop",
        "max_epochs" if by_epoch else "max_iters": schedule.length,
        "val_interval": schedule.val_interval,
    }
    if schedule.dynamic_intervals:
        # MMEngine compares these with tuples.
        loop["dynamic_intervals"] = [(start, interval) for start, interval in schedule.dynamic_intervals]
    return loop


def _optimizer(config: TrainConfig) -> dict[str, Any]:
    schedule = config.schedule
    optimizer = recipe_optimizer(config)
    if schedule.optimizer not in (None, optimizer["type"]):
        # The recipe's arguments belong to its optimizer; validate() requires `schedule.lr` here.
        optimizer = {"type": schedule.optimizer, "lr": schedule.lr, "weight_decay": 0.0}
    if schedule.weight_decay is not None:
        optimizer["weight_decay"] = schedule.weight_decay
    return {**optimizer, **deepcopy(schedule.optimizer_args)}


def _optim_wrapper(run: LoweringSpec, lr: float) -> dict[str, Any]:
    config, schedule = run.config, run.config.schedule
    wrapper: dict[str, Any] = deepcopy(recipe_optim_wrapper(config))
    if schedule.recipe is None or not run.inputs.on_gpu:
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


def _param_scheduler(schedule: ScheduleConfig, per_epoch: int, lr: float) -> list[dict[str, Any]]:
    assert schedule.warmup_iters is not None, "validate() asks for it where no zoo file has a warm-up"
    by_epoch, end = schedule.by_epoch, schedule.length
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
