"""Lowers a zoo file's own schedule: its words as they are, with what was typed laid over them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vision_research.config.lowering.tuples import words_of
from vision_research.config.schema import ScheduleConfig

# Loops of ours that do what MMEngine's do and resume in the middle of an epoch.
RESUMABLE = {"EpochBasedTrainLoop": "ResumableEpochLoop", "IterBasedTrainLoop": "ResumableIterLoop"}
WARM_UPS = ("LinearLR", "ConstantLR", "QuadraticWarmupLR")
# Arguments of a scheduler that are points of the training.
POINTS = ("begin", "end", "T_max", "milestones")
DECAY_KNOBS = ("decay", "milestones", "gamma", "decay_begin", "min_lr_factor")
WARM_UP_KNOBS = ("warmup_iters", "warmup_start_factor")


def recipe_words(schedule: ScheduleConfig) -> dict[str, Any]:
    """Return the schedule in the words of its zoo file."""
    assert schedule.recipe is not None
    return words_of(schedule.recipe)


def recipe_loop(schedule: ScheduleConfig) -> dict[str, Any]:
    """Return the training loop."""
    loop: dict[str, Any] = dict(recipe_words(schedule)["train_cfg"])
    loop["type"] = RESUMABLE[loop["type"]]
    if _is_by_epoch(schedule) != (schedule.max_iters is None):
        loop["type"] = next(kind for kind in RESUMABLE.values() if kind != loop["type"])
    for key, absent in (("max_epochs", None), ("max_iters", None), ("val_interval", 1)):
        value = getattr(schedule, key)
        if value is None:
            loop.pop(key, None)
        elif value != loop.get(key, absent):
            loop[key] = value
    points = [(start, interval) for start, interval in schedule.dynamic_intervals]
    if points != loop.get("dynamic_intervals", []):
        loop["dynamic_intervals"] = points
    return loop


def recipe_schedulers(schedule: ScheduleConfig, lr_factor: float, own: list[dict[str, Any]]) -> Any:
    """Return the parameter schedulers.

    Another length stretches them: 24 epochs where the file has 12 move every milestone to twice its place.

    Args:
        schedule: what was typed.
        lr_factor: learning rate of the run over the file's.
        own: what the knobs would give by themselves; takes the place of what was typed for.
    """
    words = recipe_words(schedule).get("param_scheduler", [])
    factor = stretch_factor(schedule)
    if isinstance(words, dict):
        return _stretched(words, schedule, factor, lr_factor)
    schedulers = [_stretched(scheduler, schedule, factor, lr_factor) for scheduler in words]
    for knobs, are_warm_ups in ((WARM_UP_KNOBS, True), (DECAY_KNOBS, False)):
        if any(getattr(schedule, knob) is not None for knob in knobs):
            kept = [scheduler for scheduler in schedulers if _is_warm_up(scheduler) != are_warm_ups]
            typed = [scheduler for scheduler in own if _is_warm_up(scheduler) == are_warm_ups]
            schedulers = typed + kept if are_warm_ups else kept + typed
    return schedulers


def with_defaults(schedule: ScheduleConfig) -> ScheduleConfig:
    """Return the schedule with a value for every knob that a zoo file leaves open."""
    ours = ScheduleConfig()
    open_knobs = [knob for knob in (*WARM_UP_KNOBS, *DECAY_KNOBS) if getattr(schedule, knob) is None]
    return replace(schedule, **{knob: getattr(ours, knob) for knob in open_knobs})


def stretch_factor(schedule: ScheduleConfig) -> float:
    """Return the length of the training over the file's, each in its own unit."""
    loop = recipe_words(schedule)["train_cfg"]
    length = schedule.max_iters if schedule.max_iters is not None else schedule.max_epochs
    assert length is not None, "validate() asks for one of schedule.max_epochs and schedule.max_iters"
    return float(length / (loop.get("max_epochs") or loop["max_iters"]))


def _is_by_epoch(schedule: ScheduleConfig) -> bool:
    return str(recipe_words(schedule)["train_cfg"]["type"]) == "EpochBasedTrainLoop"


def _is_warm_up(scheduler: dict[str, Any]) -> bool:
    kind = str(scheduler["type"]).removeprefix("mmdet.")
    return kind in WARM_UPS and scheduler.get("begin", 0) == 0


def _stretched(scheduler: dict[str, Any], schedule: ScheduleConfig, factor: float, lr_factor: float) -> dict[str, Any]:
    """Return a scheduler for another length; one that counts in another unit than the loop (a warm-up) stays."""
    changed = dict(scheduler)
    if "eta_min" in changed and lr_factor != 1:
        changed["eta_min"] *= lr_factor
    by_epoch = scheduler.get("by_epoch", True)
    if factor == 1 or by_epoch != _is_by_epoch(schedule) or (not by_epoch and _is_warm_up(scheduler)):
        return changed
    for key in POINTS:
        if key in changed:
            changed[key] = _scaled(changed[key], factor)
    if "begin" in changed and "end" in changed:
        # In a very short training both may round to one place, which MMEngine refuses.
        changed["begin"] = min(changed["begin"], max(0, changed["end"] - 1))
    if by_epoch and schedule.max_iters is not None:
        changed["by_epoch"] = False
        changed.pop("convert_to_iter_based", None)
    elif not by_epoch and schedule.max_iters is None:
        changed["by_epoch"] = True
    return changed


def _scaled(value: Any, factor: float) -> Any:
    if isinstance(value, (list, tuple)):
        return sorted({_scaled(point, factor) for point in value})
    return max(1, round(value * factor)) if value else value
