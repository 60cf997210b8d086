"""Lays weights and images out channels last, which convolutions on tensor cores and in oneDNN like better."""

from __future__ import annotations

import gc
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Turn the model, and the images on their way into the backbone, to `torch.channels_last`.

    Layout only: shapes, names in checkpoints and the mathematics stay. The order of sums does not, and so the last
    bits; nor do the elements that a dropout of the same seed drops.
    """

    # Before EMAHook (49) makes its copy of the model.
    priority = "HIGH"

    def before_run(self, runner: Any) -> None:
        """Convert before weights are initialised or loaded: both write into the tensors that are there."""
        wrapped = is_model_wrapper(runner.model)
        model = runner.model.module if wrapped else runner.model
        model.to(memory_format=torch.channels_last)
        model.backbone.register_forward_pre_hook(_images_channels_last)
        if wrapped:
            # DDP laid its gradient buckets out when it was made; strides that changed since cost a copy in every step.
            runner.model = None
            gc.collect()
            runner.model = runner.wrap_model(runner.cfg.get("model_wrapper_cfg"), model)


def _images_channels_last(module: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        arg.contiguous(memory_format=torch.channels_last) if torch.is_tensor(arg) and arg.dim() == 4 else arg
        for arg in args
    )
