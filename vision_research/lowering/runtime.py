"""Lowers hooks, logging, the visualizer and the environment."""

from __future__ import annotations

from typing import Any

from vision_research.config.schema import Tracker, TrainConfig
from vision_research.config.tree import typed_dicts
from vision_research.config.weights import weights_file
from vision_research.config.zoo_entries import zoo_excerpt
from vision_research.lowering.templates import final_pipeline
from vision_research.protocols import LoweringSpec
from vision_research.work_dir import WorkDir


def lower_runtime(run: LoweringSpec) -> dict[str, Any]:
    """Return the keys of the MMEngine config that are neither detector, data nor schedule."""
    config = run.config
    # A module that registers types of another package (`model.backbone.type=mmpretrain.ConvNeXt`).
    is_used = any(node["type"].startswith("mmpretrain.") for _, node in typed_dicts(config.model))
    packages = ["mmpretrain.models"] if is_used else []
    backends: list[dict[str, Any]] = [{"type": "LocalVisBackend"}]
    if config.tracking.kind is Tracker.mlflow:
        spool = {"spool_dir": str(WorkDir(run.inputs.work_dir).spool), "limit_mb": config.tracking.spool_limit_mb}
        backends.append({"type": "SpoolVisBackend", **spool})
    return {
        "default_scope": "mmdet",
        "custom_imports": {
            "imports": ["vision_research.engine.registered", *packages, *config.aug.imports],
            "allow_failed_imports": False,
        },
        "work_dir": str(run.inputs.work_dir),
        "env_cfg": {
            "cudnn_benchmark": config.hw.cudnn_benchmark,
            "mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0},
            "dist_cfg": {"backend": "nccl" if run.inputs.on_gpu else "gloo", "timeout": config.hw.timeout_s},
        },
        "randomness": {"seed": config.seed, "deterministic": config.hw.deterministic},
        "visualizer": {"type": "DetLocalVisualizer", "vis_backends": backends, "name": "visualizer"},
        "log_processor": {
            "type": "LogProcessor",
            "window_size": config.log_interval,
            "by_epoch": config.schedule.by_epoch,
        },
        "log_level": "INFO",
        "load_from": weights_file(config),
        "resume": False,
        "find_unused_parameters": config.hw.find_unused_parameters
        or config.model_recipe.get("find_unused_parameters", False),
        "default_hooks": _default_hooks(config),
        "custom_hooks": _custom_hooks(run),
    }


def _default_hooks(config: TrainConfig) -> dict[str, Any]:
    schedule = config.schedule
    return {
        "timer": {"type": "IterTimerHook"},
        "logger": {"type": "LoggerHook", "interval": config.log_interval},
        "param_scheduler": {"type": "ParamSchedulerHook"},
        "checkpoint": {
            "type": "CheckpointHook",
            "by_epoch": schedule.by_epoch,
            "interval": schedule.checkpoint_interval or schedule.val_interval,
            "max_keep_ckpts": schedule.max_keep_ckpts,
            "save_best": schedule.monitor,
            "rule": "greater",
        },
        "sampler_seed": {"type": "DistSamplerSeedHook"},
        "visualization": {"type": "DetVisualizationHook"},
    }


def _custom_hooks(run: LoweringSpec) -> list[dict[str, Any]]:
    config, recipe = run.config, run.config.schedule.recipe
    of_schedule = [] if recipe is None else zoo_excerpt(recipe)["hooks"].values()
    return [
        *_in_zoo_order([*_recipe_hooks(config), *of_schedule, *_stage_hooks(run)], config),
        *_early_stopping(config),
        *_layout_hooks(config),
        *_debug_hooks(run),
        {"type": "FiniteLossHook"},
        {"type": "GracefulStopHook"},
        {"type": "ThroughputHook"},
        {"type": "ProgressHook"},
    ]


def _recipe_hooks(config: TrainConfig) -> list[dict[str, Any]]:
    hooks = {kind: dict(hook) for kind, hook in (config.model_recipe.get("hooks") or {}).items()}
    if config.schedule.ema is False:
        hooks.pop("EMAHook", None)
    if config.schedule.ema and "EMAHook" not in hooks:
        momentum = config.schedule.ema_momentum
        average = {"type": "EMAHook", "ema_type": "ExpMomentumEMA", "momentum": momentum, "update_buffers": True}
        hooks["EMAHook"] = {**average, "priority": 49}
    return list(hooks.values())


def _in_zoo_order(hooks: list[dict[str, Any]], config: TrainConfig) -> list[dict[str, Any]]:
    order = (config.aug.recipe or {}).get("hook_order") or []
    kinds = [str(hook["type"]).removeprefix("mmdet.") for hook in hooks]
    places = [order.index(kind) if kind in order else len(order) for kind in kinds]
    return [hook for _, hook in sorted(zip(places, hooks, strict=True), key=lambda pair: pair[0])]


def _stage_hooks(run: LoweringSpec) -> list[dict[str, Any]]:
    config, length, by_epoch = run.config, run.config.schedule.length, run.config.schedule.by_epoch
    switch_at = _stage_switch_at(run)
    if switch_at is not None and by_epoch and (own := _file_stage_hooks(config, switch_at)):
        return own
    hooks: list[dict[str, Any]] = []
    if switch_at is not None and (pipeline := final_pipeline(run)) is not None:
        hooks.append({"type": "PipelineStageHook", "switch_at": switch_at, "by_epoch": by_epoch, "pipeline": pipeline})
    if config.model_recipe.get("l1_epochs"):
        # YOLOX adds its L1 loss when mosaic ends; without a second stage, in at most the last tenth of the training.
        start = length - min(config.model_recipe["l1_epochs"], length // 10)
        hooks.append(
            {"type": "L1LossHook", "switch_at": start if switch_at is None else switch_at, "by_epoch": by_epoch}
        )
    return hooks


def _stage_switch_at(run: LoweringSpec) -> int | None:
    """Return the epoch (or iteration) at which the weak pipeline begins, or None where there is no such stage."""
    aug, schedule, data = run.config.aug, run.config.schedule, run.data
    if (aug.final is None and aug.recipe is None) or aug.final_epochs == 0:
        return None
    unit = 1 if schedule.by_epoch else run.inputs.iters_per_epoch(data.batch_size, data.repeat)
    return schedule.length - aug.final_epochs * unit


def _file_stage_hooks(config: TrainConfig, switch_at: int) -> list[dict[str, Any]]:
    """Return MMDetection's own stage-switching hooks where they fit: with the data or detector of the same file."""
    if config.aug.recipe is None:
        return []
    hooks = zoo_excerpt(config.aug.recipe)["hooks"]
    if config.data.uses_zoo_file and "PipelineSwitchHook" in hooks:
        return [{**hooks["PipelineSwitchHook"], "switch_epoch": switch_at}]
    is_yolox = config.model_recipe.get("zoo") == config.aug.recipe["zoo"]
    if is_yolox and "YOLOXModeSwitchHook" in hooks:
        return [{**hooks["YOLOXModeSwitchHook"], "num_last_epochs": config.aug.final_epochs}]
    return []


def _early_stopping(config: TrainConfig) -> list[dict[str, Any]]:
    schedule = config.schedule
    if schedule.early_stopping is None:
        return []
    patience = {"patience": schedule.early_stopping, "min_delta": schedule.early_stopping_min_delta}
    return [{"type": "ResumableEarlyStoppingHook", "monitor": schedule.monitor, "rule": "greater", **patience}]


def _layout_hooks(config: TrainConfig) -> list[dict[str, Any]]:
    wanted = {
        "ActivationCheckpointingHook": config.hw.activation_checkpointing,
        "ChannelsLastHook": config.hw.channels_last,
        "CompilePartsHook": config.hw.compile,
    }
    return [{"type": kind} for kind, on in wanted.items() if on]


def _debug_hooks(run: LoweringSpec) -> list[dict[str, Any]]:
    num_iters, inputs = run.config.debug.profile_iters, run.inputs
    profiler = {"type": "ProfilerHook", "by_epoch": False, "profile_times": num_iters}
    trace = {"activity_with_cuda": inputs.on_gpu, "json_trace_path": str(inputs.work_dir / "profile.json")}
    return [{**profiler, **trace}] if num_iters else []
