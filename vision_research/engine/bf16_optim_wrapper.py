"""bfloat16 mixed precision, on GPUs and CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner.amp import autocast
from torch import nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass in bfloat16 where autocast considers it safe.

    bfloat16 has the exponent range of float32, so the loss needs no scaling. MMEngine's `AmpOptimWrapper` always builds
    a CUDA gradient scaler and refuses to start without a GPU.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run a forward pass under autocast."""
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield
