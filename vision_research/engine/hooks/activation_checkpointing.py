"""Activation checkpointing, which takes more time and less memory: the backward pass computes activations again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from operator import attrgetter
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from vision_research.engine.hook_arguments import detector_of


@HOOKS.register_module()
class ActivationCheckpointingHook(Hook):
    """Checkpoint the activations of some modules, with the results of plain training to the last bit.

    MMEngine's own `activation_checkpointing` runs every batch norm twice a step, so that each batch counts twice in the
    running statistics; here the second run does not update them. It works under DDP (non-reentrant checkpointing).

    Args:
        modules: dotted names in the detector; None means the stages of the backbone (its `nn.Sequential` children).
    """

    priority = "NORMAL"

    def __init__(self, modules: Sequence[str] | None = None) -> None:
        self.modules = modules

    def before_train(self, runner: Any) -> None:
        """Wrap the modules, after EMA has copied the model.

        Raises:
            ValueError: no stage was found.
        """
        model = detector_of(runner)
        names = list(self.modules) if self.modules is not None else _stages(model)
        if not names:
            raise ValueError(
                f"{type(model).__name__} has no stages to checkpoint: no child of its backbone is an nn.Sequential. "
                "Name them, as in ActivationCheckpointingHook(modules=['backbone.layers'])."
            )
        for name in names:
            module = attrgetter(name)(model)
            module.forward = _checkpointed(module, module.forward)
        runner.logger.info("Activations are computed again in the backward pass for: %s", ", ".join(names))


def _stages(model: nn.Module) -> list[str]:
    backbone = getattr(model, "backbone", nn.Identity())
    return [
        f"backbone.{name}"
        for name, child in backbone.named_children()
        if isinstance(child, nn.Sequential) and any(parameter.requires_grad for parameter in child.parameters())
    ]


def _checkpointed(module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _frozen_statistics(module)

    return partial(checkpoint, forward, use_reentrant=False, context_fn=contexts)


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Keep batch norms from updating their running statistics inside of the block.

    Momentum 0 does this. Removing the statistics would change what autograd saves, which checkpointing checks.
    """
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm) and norm.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None]
    counted = [count.clone() for count in counts]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for count, before in zip(counts, counted, strict=True):
            count.copy_(before)
