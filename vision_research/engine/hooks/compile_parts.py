"""Compiles the convolutional parts of a detector with torch.compile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch._dynamo.exc import TorchDynamoException

from vision_research.engine.hook_arguments import detector_of
from vision_research.engine.outcome import record_event


@HOOKS.register_module()
class CompilePartsHook(Hook):
    """Compile backbone and neck with `torch.compile`, in place, so that names in checkpoints do not change.

    Heads are not compiled: their assigners and post-processing depend on the number of boxes, so they break the graph
    often and recompile for every image. A part whose compilation fails runs uncompiled; the hook logs an error and
    records a `compile_failed` event.

    Args:
        parts: attributes of the detector; those that it lacks are skipped.
        backend: argument of torch.compile.
        mode: argument of torch.compile, such as `max-autotune`.
        dynamic: whether to compile for changing image sizes; None lets torch decide at the second size.
    """

    priority = "NORMAL"

    def __init__(
        self,
        parts: Sequence[str] = ("backbone", "neck"),
        backend: str = "inductor",
        mode: str | None = None,
        dynamic: bool | None = None,
    ) -> None:
        self.parts = tuple(parts)
        self._compile = partial(torch.nn.Module.compile, backend=backend, mode=mode, dynamic=dynamic)
        self._reported = False

    def before_train(self, runner: Any) -> None:
        """Mark the parts for compilation, which happens at their first call.

        Raises:
            ValueError: the detector has none of the parts.
        """
        model = detector_of(runner)
        modules = {name: part for name in self.parts if isinstance(part := getattr(model, name, None), torch.nn.Module)}
        if not modules:
            raise ValueError(f"{type(model).__name__} has none of the parts to compile: {', '.join(self.parts)}")
        for name, module in modules.items():
            self._compile(module)
            module._compiled_call_impl = _with_fallback(module, name, runner)
        runner.logger.info("torch.compile for %s; the first iterations are slow", ", ".join(modules))

    def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        """Log the number of graphs and graph breaks once."""
        if self._reported:
            return
        self._reported = True
        counters = torch._dynamo.utils.counters
        graphs, breaks = counters["stats"]["unique_graphs"], sum(counters["graph_break"].values())
        runner.logger.info("torch.compile made %d graphs with %d graph breaks", graphs, breaks)
        for reason, count in counters["graph_break"].items():
            runner.logger.warning("graph break (%d times): %s", count, reason.strip().splitlines()[0])


def _with_fallback(module: torch.nn.Module, name: str, runner: Any) -> Callable[..., Any]:
    compiled = module._compiled_call_impl
    assert compiled is not None, "Module.compile sets it"

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return compiled(*args, **kwargs)
        except TorchDynamoException as error:
            module._compiled_call_impl = None
            # The first line is "backend='inductor' raised:", the second one the error.
            reason = " ".join(str(error).strip().splitlines()[:2])
            runner.logger.error(
                "torch.compile of %s failed; it runs uncompiled. %s: %s", name, type(error).__name__, reason
            )
            record_event(Path(runner.work_dir), "compile_failed", part=name, reason=reason)
            return module(*args, **kwargs)

    return call
