"""Chooses, for each call of an operator of mmcv, who computes it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import nullcontext
from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor

from vision_research.ops.kernels import missing_torchvision
from vision_research.ops.mmcv_ext import attention, boxes, convolution, losses, pooling  # noqa: F401 (they enter)
from vision_research.ops.mmcv_ext.registry import BUFFERS, PLAIN

# In the environment, so that the processes that a process starts compute as it does.
VARIABLE = "VISION_RESEARCH_OPS"
CHOICES = ("auto", "plain", "compiled")
# What mmcv's report of the environment asks for.
REPORTS = ("get_compiler_version", "get_compiling_cuda_version")
BUILD = "python .ci/mmcv_wheel.py"


def select(choice: str) -> None:
    """Choose who computes the operators, in this process and in those that it starts.

    Args:
        choice: `plain` for torch's own functions (and torchvision's kernels on a GPU), `compiled` for mmcv's compiled
            functions where they exist, `auto` for plain ones, and on a GPU without torchvision for compiled ones.
    """
    if choice not in CHOICES:
        raise ValueError(f"ops={choice}: choose one of {', '.join(CHOICES)}")
    os.environ[VARIABLE] = choice


def selected() -> str:
    """The choice: `auto`, `plain` or `compiled`."""
    return os.environ.get(VARIABLE, "auto")


@functools.cache
def operator(name: str) -> Callable[..., Any]:
    """Return what is called for an operator of mmcv's extension.

    Operators with `BUFFERS` are nodes of the graphs of `torch.compile`; others stay outside of them.

    Args:
        name: such as `roi_align_forward`.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        tensor = next((value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)), None)
        function = _choose(name, selected(), tensor is not None and tensor.is_cuda)
        # The functions choose their own precision.
        is_mixed = tensor is not None and torch.is_autocast_enabled(tensor.device.type)
        with torch.autocast(tensor.device.type, enabled=False) if is_mixed and tensor is not None else nullcontext():
            return function(*args, **kwargs)

    if name not in BUFFERS:
        outside: Callable[..., Any] = torch.compiler.disable(call)
        return outside
    schema = torch.library.infer_schema(PLAIN[name], mutates_args=BUFFERS[name])
    node = torch.library.custom_op(f"mmcv_ext::{name}", call, mutates_args=BUFFERS[name], schema=schema)
    return cast(Callable[..., Any], node)


@functools.cache
def _choose(name: str, choice: str, is_cuda: bool) -> Callable[..., Any]:
    plain, compiled = PLAIN.get(name), None
    if name in REPORTS and choice != "compiled":
        return lambda: "none: operators in plain torch"
    wants_compiled = choice == "compiled" or plain is None or (is_cuda and missing_torchvision() is not None)
    if wants_compiled and choice != "plain":
        compiled = getattr(compiled_extension(), name, None)
    if compiled is not None and plain is not None:
        return _with_fallback(compiled, plain)
    return compiled or plain or refusal(name)


def _with_fallback(compiled: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    """Call the compiled function; where mmcv has none for the device of the tensors, the plain one."""
    is_missing = False

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal is_missing
        if not is_missing:
            try:
                return compiled(*args, **kwargs)
            except RuntimeError as error:
                # mmcv's ops/csrc/pytorch_device_registry.hpp.
                if "implementation for device" not in str(error):
                    raise
                is_missing = True
        return plain(*args, **kwargs)

    return call


@functools.cache
def compiled_extension() -> ModuleType | None:
    """Load mmcv's compiled extension; None where there is none, or where it does not load."""
    return _load_compiled()[0]


def why_not_compiled() -> str | None:
    """Say why mmcv's compiled operators cannot be used; None if they can."""
    return _load_compiled()[1]


@functools.cache
def _load_compiled() -> tuple[ModuleType | None, str | None]:
    spec = find_spec("mmcv")
    folder = Path(spec.origin).parent if spec is not None and spec.origin is not None else None
    path = next(iter(sorted(folder.glob("_ext.*.so"))), None) if folder is not None else None
    if path is None:
        return None, "mmcv was installed without compiled operators"
    try:
        # Under mmcv's name, which ends in that of the function that Python looks up in the file.
        loader = ExtensionFileLoader("mmcv._ext", str(path))
        found = spec_from_file_location("mmcv._ext", path, loader=loader)
        assert found is not None
        module = module_from_spec(found)
        loader.exec_module(module)
        return module, None
    except ImportError as error:
        return None, f"mmcv's compiled operators were built for another torch than {torch.__version__} ({error})"


def refusal(name: str) -> Callable[..., Any]:
    """Return a function that says that nobody has written an operator.

    Args:
        name: of the operator.
    """

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"{name} is an operator of mmcv that exists as a compiled function alone, and {why_not_compiled()}. No "
            f"detector of MMDetection calls it. To compile mmcv's operators: {BUILD}"
        )

    return refuse
