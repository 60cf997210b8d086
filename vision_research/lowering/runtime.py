"""Lowers hooks, logging, the visualizer and the environment."""

from __future__ import annotations

from typing import Any

from vision_research.config.schema import Tracker, TrainConfig
from vision_research.config.tree import typed_dicts
from vision_research.config.weights import weights_file
from vision_research.lowering.pipelines import final_pipeline
from vision_research.lowering.recipe_runtime import file_stage_hooks, merge_experiment, schedule_hooks
from vision_research.lowering.schedule import length
from vision_research.lowering.templates import final_recipe_pipeline
from vision_research.protocols import LoweringInputs, RunSpec
from vision_research.work_dir import WorkDir


def lower_runtime(run: RunSpec, inputs: LoweringInputs) -> dict[str, Any]:
    """Return the keys of the MMEngine config that are neither detector, data nor schedule.

    Args:
        run: the run.
        inputs: facts about the data and the machine.
    """
    config = run.config
    by_epoch = config.schedule.max_iters is None
    backends: list[dict[str, Any]] = [{"type": "LocalVisBackend"}]
    if config.tracking.kind is Tracker.mlflow:
        spool = {"spool_dir": str(WorkDir(inputs.work_dir).spool), "limit_mb": config.tracking.spool_limit_mb}
        backends.append({"type": "SpoolVisBackend", **spool})
    tree: dict[str, Any] = {
        "default_scope": "mmdet",
        "custom_imports": {
            "imports": ["vision_research.engine.registered", *_used_packages(config), *config.aug.imports],
            "allow_failed_imports": False,
        },
        "work_dir": str(inputs.work_dir),
        "env_cfg": {
            "cudnn_benchmark": config.hw.cudnn_benchmark,
            "mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0},
            "dist_cfg": {"backend": "nccl" if inputs.on_gpu else "gloo", "timeout": config.hw.timeout_s},
        },
        "randomness": {"seed": config.seed, "deterministic": config.hw.deterministic},
        "visualizer": {"type": "DetLocalVisualizer", "vis_backends": backends, "name": "visualizer"},
        "log_processor": {"type": "LogProcessor", "window_size": config.log_interval, "by_epoch": by_epoch},
        "log_level": "INFO",
        "load_from": weights_file(config),
        "resume": False,
        "find_unused_parameters": config.hw.find_unused_parameters
        or _recipe(config).get("find_unused_parameters", False),
        "default_hooks": _default_hooks(config, by_epoch),
        "custom_hooks": _custom_hooks(run, inputs, by_epoch),
    }
    return tree if config.recipe is None else merge_experiment(config, tree)


def stage_switch_at(config: TrainConfig, inputs: LoweringInputs) -> int | None:
    """Return the epoch (or iteration) at which the weak pipeline begins, or None where there is no such stage.

    Args:
        config: the run.
        inputs: facts about the data and the machine.
    """
    if (config.aug.final is None and config.aug.recipe is None) or config.aug.final_epochs == 0:
        return None
    unit = 1
    if config.schedule.max_iters is not None:
        unit = inputs.iters_per_epoch(config.data.batch_size, config.data.repeat)
    return length(config.schedule) - config.aug.final_epochs * unit


def _used_packages(config: TrainConfig) -> list[str]:
    """List modules to import that register types of other packages (`model.backbone.type=mmpretrain.ConvNeXt`)."""
    is_used = any(node["type"].startswith("mmpretrain.") for _, node in typed_dicts(config.model))
    return ["mmpretrain.models"] if is_used else []


def _recipe(config: TrainConfig) -> dict[str, Any]:
    return config.model.get("recipe") or {}


def _default_hooks(config: TrainConfig, by_epoch: bool) -> dict[str, Any]:
    schedule = config.schedule
    return {
        "timer": {"type": "IterTimerHook"},
        "logger": {"type": "LoggerHook", "interval": config.log_interval},
        "param_scheduler": {"type": "ParamSchedulerHook"},
        "checkpoint": {
            "type": "CheckpointHook",
            "by_epoch": by_epoch,
            "interval": schedule.checkpoint_interval or schedule.val_interval,
            "max_keep_ckpts": schedule.max_keep_ckpts,
            "save_best": schedule.monitor,
            "rule": "greater",
        },
        "sampler_seed": {"type": "DistSamplerSeedHook"},
        "visualization": {"type": "DetVisualizationHook"},
    }


def _custom_hooks(run: RunSpec, inputs: LoweringInputs, by_epoch: bool) -> list[dict[str, Any]]:
    config = run.config
    return [
        *_in_zoo_order([*_recipe_hooks(config), *schedule_hooks(config), *_stage_hooks(run, inputs, by_epoch)], config),
        *_early_stopping(config),
        *_layout_hooks(config),
        *_debug_hooks(config, inputs),
        {"type": "FiniteLossHook"},
        {"type": "GracefulStopHook"},
        {"type": "ThroughputHook"},
        {"type": "ProgressHook"},
    ]


def _recipe_hooks(config: TrainConfig) -> list[dict[str, Any]]:
    hooks = {kind: dict(hook) for kind, hook in (_recipe(config).get("hooks") or {}).items()}
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


def _stage_hooks(run: RunSpec, inputs: LoweringInputs, by_epoch: bool) -> list[dict[str, Any]]:
    config = run.config
    switch_at = stage_switch_at(config, inputs)
    if by_epoch and (own := file_stage_hooks(config, switch_at)):
        return own
    pipeline = _final_pipeline(run, inputs) if switch_at is not None else None
    hooks: list[dict[str, Any]] = []
    if pipeline is not None:
        hooks.append({"type": "PipelineStageHook", "switch_at": switch_at, "by_epoch": by_epoch, "pipeline": pipeline})
    if _recipe(config).get("l1_epochs"):
        # YOLOX adds its L1 loss when mosaic ends; without a second stage, in at most the last tenth of the training.
        start = length(config.schedule) - min(_recipe(config)["l1_epochs"], length(config.schedule) // 10)
        hooks.append(
            {"type": "L1LossHook", "switch_at": start if switch_at is None else switch_at, "by_epoch": by_epoch}
        )
    return hooks


def _final_pipeline(run: RunSpec, inputs: LoweringInputs) -> list[dict[str, Any]] | None:
    return (final_pipeline if run.config.aug.recipe is None else final_recipe_pipeline)(run, inputs)


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


def _debug_hooks(config: TrainConfig, inputs: LoweringInputs) -> list[dict[str, Any]]:
    if config.debug.profile_iters == 0:
        return []
    profiler = {"by_epoch": False, "profile_times": config.debug.profile_iters, "activity_with_cuda": inputs.on_gpu}
    return [{"type": "ProfilerHook", **profiler, "json_trace_path": str(inputs.work_dir / "profile.json")}]
