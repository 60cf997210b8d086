"""Compiles the convolutional parts of a detector with torch.compile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from torch._dynamo.exc import TorchDynamoException

from vision_research.engine.events import record_event


@HOOKS.register_module()
class CompilePartsHook(Hook):
    """`torch.compile` for backbone and neck, in place, so that names in checkpoints stay as they are.

    Heads are left alone: their assigners and post-processing depend on the number of boxes, break the graph at every
    turn, and recompile for every image. If the compiler fails, the part goes on uncompiled: an error in the log and a
    `compile_failed` event say so.

    Args:
        parts: attributes of the detector; those that it lacks are passed over.
        backend: of torch.compile.
        mode: of torch.compile, such as `max-autotune`.
        dynamic: whether to compile for changing image sizes; None lets torch find out at the second size.
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
        """Compile; the work is done at the first call.

        Raises:
            ValueError: the detector has none of the parts.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        modules = {name: part for name in self.parts if isinstance(part := getattr(model, name, None), torch.nn.Module)}
        if not modules:
            raise ValueError(f"{type(model).__name__} has none of the parts to compile: {', '.join(self.parts)}")
        for name, module in modules.items():
            self._compile(module)
            module._compiled_call_impl = _with_fallback(module, name, runner)
        runner.logger.info("torch.compile for %s; the first iterations are slow", ", ".join(modules))

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Report once how well it went."""
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
            # "backend='inductor' raised:" and, on the next line, what.
            reason = " ".join(str(error).strip().splitlines()[:2])
            runner.logger.error(
                "torch.compile of %s failed; it goes on uncompiled. %s: %s", name, type(error).__name__, reason
            )
            record_event(Path(runner.work_dir), "compile_failed", part=name, reason=reason)
            return module(*args, **kwargs)

    return call
