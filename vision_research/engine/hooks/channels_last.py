"""Stores weights and images channels last, which makes convolutions on tensor cores and in oneDNN faster."""

from __future__ import annotations

import gc
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS

from vision_research.engine.hook_arguments import detector_of


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Convert the model, and the images that enter the backbone, to `torch.channels_last`.

    Only the memory layout changes, not shapes or names in checkpoints. Sums are computed in another order, which
    changes the last bits, and dropout with the same seed drops other elements.
    """

    # Before EMAHook (49) copies the model.
    priority = "HIGH"

    def before_run(self, runner: Any) -> None:
        """Convert before weights are initialised or loaded, which both write into the existing tensors."""
        wrapped = is_model_wrapper(runner.model)
        model = detector_of(runner)
        model.to(memory_format=torch.channels_last)
        model.backbone.register_forward_pre_hook(_images_channels_last)
        if wrapped:
            # DDP laid out its gradient buckets when it was built; with other strides now, every step would copy them.
            runner.model = None
            gc.collect()
            runner.model = runner.wrap_model(runner.cfg.get("model_wrapper_cfg"), model)


def _images_channels_last(module: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        arg.contiguous(memory_format=torch.channels_last) if torch.is_tensor(arg) and arg.dim() == 4 else arg
        for arg in args
    )
