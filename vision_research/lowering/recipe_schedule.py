"""Lowers the schedule of a zoo file, changed by the keys that were set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vision_research.config.schema import DECAY_KEYS, WARM_UP_KEYS, ScheduleConfig

WARM_UPS = ("LinearLR", "ConstantLR", "QuadraticWarmupLR")
# Arguments of a scheduler that are epochs or iterations.
POINTS = ("begin", "end", "T_max", "milestones")


def recipe_loop(schedule: ScheduleConfig, excerpt: dict[str, Any]) -> dict[str, Any]:
    """Return the training loop: ours, which equal MMEngine's and can resume in the middle of an epoch.

    Args:
        schedule: of the run.
        excerpt: the schedule of the file.
    """
    loop = {**excerpt["train_cfg"], "type": "ResumableEpochLoop" if schedule.by_epoch else "ResumableIterLoop"}
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


def recipe_schedulers(
    schedule: ScheduleConfig, excerpt: dict[str, Any], lr_factor: float, own: list[dict[str, Any]]
) -> Any:
    """Return the parameter schedulers.

    Another length stretches them: 24 epochs instead of the file's 12 double every milestone.

    Args:
        schedule: of the run.
        excerpt: the schedule of the file.
        lr_factor: learning rate of the run over the file's.
        own: schedulers from the keys of `schedule` alone; they replace the warm-up or decay of which a key is set.
    """
    of_file = excerpt.get("param_scheduler", [])
    if isinstance(of_file, dict):
        return _stretched(of_file, schedule, excerpt["train_cfg"], lr_factor)
    schedulers = [_stretched(scheduler, schedule, excerpt["train_cfg"], lr_factor) for scheduler in of_file]
    for keys, are_warm_ups in ((WARM_UP_KEYS, True), (DECAY_KEYS, False)):
        if any(getattr(schedule, key) is not None for key in keys):
            kept = [scheduler for scheduler in schedulers if _is_warm_up(scheduler) != are_warm_ups]
            typed = [scheduler for scheduler in own if _is_warm_up(scheduler) == are_warm_ups]
            schedulers = typed + kept if are_warm_ups else kept + typed
    return schedulers


def with_defaults(schedule: ScheduleConfig) -> ScheduleConfig:
    """Return the schedule with our default for every warm-up and decay key that is null."""
    ours = ScheduleConfig()
    unset = [key for key in (*WARM_UP_KEYS, *DECAY_KEYS) if getattr(schedule, key) is None]
    return replace(schedule, **{key: getattr(ours, key) for key in unset})


def _is_warm_up(scheduler: dict[str, Any]) -> bool:
    kind = str(scheduler["type"]).removeprefix("mmdet.")
    return kind in WARM_UPS and scheduler.get("begin", 0) == 0


def _stretched(
    scheduler: dict[str, Any], schedule: ScheduleConfig, loop: dict[str, Any], lr_factor: float
) -> dict[str, Any]:
    """Return a scheduler for another length than that of the file's loop; one in another unit (a warm-up) is kept."""
    # The length of the training over the file's, each in its own unit.
    factor = schedule.length / (loop.get("max_epochs") or loop["max_iters"])
    changed = dict(scheduler)
    if "eta_min" in changed and lr_factor != 1:
        changed["eta_min"] *= lr_factor
    by_epoch = scheduler.get("by_epoch", True)
    if factor == 1 or by_epoch != (loop["type"] == "EpochBasedTrainLoop") or (not by_epoch and _is_warm_up(scheduler)):
        return changed
    for key in POINTS:
        if key in changed:
            changed[key] = _scaled(changed[key], factor)
    if "begin" in changed and "end" in changed:
        # In a very short training both may round to the same point, which MMEngine refuses.
        changed["begin"] = min(changed["begin"], max(0, changed["end"] - 1))
    if by_epoch and not schedule.by_epoch:
        changed["by_epoch"] = False
        changed.pop("convert_to_iter_based", None)
    elif not by_epoch and schedule.by_epoch:
        changed["by_epoch"] = True
    return changed


def _scaled(value: Any, factor: float) -> Any:
    if isinstance(value, (list, tuple)):
        return sorted({_scaled(point, factor) for point in value})
    return max(1, round(value * factor)) if value else value
