"""Chooses, for each call of an operator of mmcv, who computes it."""

from __future__ import annotations

import functools
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
from vision_research.ops.mmcv_ext import attention, boxes, convolution, losses, pooling, resampling  # noqa: F401 (they enter)
from vision_research.ops.mmcv_ext.choice import BUILD, selected
from vision_research.ops.mmcv_ext.registry import BUFFERS, PLAIN

# What mmcv's report of the environment asks for.
REPORTS = ("get_compiler_version", "get_compiling_cuda_version")


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
        outside: Callable[..., Any] = torch.compiler.disable(call)  # type: ignore[no-untyped-call]
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


def in_use(on_gpu: bool) -> str:
    """Say who computes mmcv's operators with the present choice: `plain`, `compiled` or `torchvision`.

    Args:
        on_gpu: whether the tensors are on a GPU; the answer is that of suppression and pooling.
    """
    if selected() == "compiled":
        return "compiled"
    if not on_gpu:
        return "plain"
    if missing_torchvision() is None:
        return "torchvision"
    return "compiled" if selected() == "auto" and why_not_compiled() is None else "plain"


def refusal(name: str) -> Callable[..., Any]:
    """Return a function that says that nobody has written an operator.

    Args:
        name: of the operator.
    """

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(describe_refusal(name))

    return refuse


def describe_refusal(name: str) -> str:
    """Say that an operator exists as a compiled function alone, and what to type.

    Args:
        name: such as `nms_rotated`.
    """
    reason = why_not_compiled() or "ops=plain leaves compiled functions out"
    return (
        f"{name} is an operator of mmcv that exists as a compiled function alone, and {reason}. No detector of "
        f"MMDetection calls it. Compile mmcv's operators, and leave ops=plain out: {BUILD}"
    )


def is_refused(name: str) -> bool:
    """Tell whether an operator of mmcv can be computed by nobody here.

    Args:
        name: such as `nms_rotated`.
    """
    has_compiled = selected() != "plain" and why_not_compiled() is None
    return name not in PLAIN and not (has_compiled and hasattr(compiled_extension(), name))
