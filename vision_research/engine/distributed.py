"""Prepares a config for the processes it runs on: one process or many, with GPUs or without."""

from __future__ import annotations

import os
from datetime import timedelta

import torch
from mmengine import Config
from torch import distributed


def prepare_distributed(cfg: Config) -> None:
    """Set the launcher of a config from torchrun's environment, and join the process group where MMEngine cannot.

    One process is trained as one process, so that its losses are those of stock MMDetection. On CPU ranks MMEngine
    0.10.7 fails: `init_dist` always calls `torch.cuda.set_device` (mmengine/dist/utils.py), and the Runner passes
    LOCAL_RANK to DDP as a device. So the gloo group is made here (the Runner then leaves it alone), and DDP gets no
    device. (That SyncBN has become BN by then is the lowering's business: it knows the hardware.)

    Args:
        cfg: changed in place.
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
