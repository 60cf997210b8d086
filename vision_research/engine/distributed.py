"""Sets a config up for one or many processes, on GPUs or CPUs."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import torch
from mmengine import Config
from mmengine.model import is_model_wrapper
from torch import distributed


def detector_of(runner: Any) -> Any:
    """Return the detector of a runner without the wrapper for distributed training."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def prepare_distributed(cfg: Config) -> None:
    """Set the launcher of a config, in place, from torchrun's environment; on CPUs, also join the process group.

    A single process trains without DDP, so that its losses are those of stock MMDetection. On CPU ranks MMEngine 0.10.7
    fails: `init_dist` always calls `torch.cuda.set_device` (mmengine/dist/utils.py), and the Runner passes LOCAL_RANK
    to DDP as a device. So this function makes the gloo group, which the Runner then uses, and gives DDP no device.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    cfg.launcher = "pytorch" if world_size > 1 else "none"
    if world_size == 1 or torch.cuda.is_available():
        return
    wrapper = cfg.get("model_wrapper_cfg") or {"type": "MMDistributedDataParallel", "broadcast_buffers": False}
    wrapper.setdefault("find_unused_parameters", bool(cfg.get("find_unused_parameters", False)))
    cfg.model_wrapper_cfg = {**wrapper, "device_ids": None}
    if not distributed.is_initialized():
        timeout_s = (cfg.get("env_cfg") or {}).get("dist_cfg", {}).get("timeout", 1800)
        distributed.init_process_group("gloo", timeout=timedelta(seconds=timeout_s))
