"""Finds parts of a detector that call an operator of mmcv which nobody can compute here."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any

from vision_research.config.tree import typed_dicts


def refused_operators(detector: Any, model: dict[str, Any]) -> list[str]:
    """Name each layer of a detector, and each `type` in its config, whose operator is not there.

    Args:
        detector: as it was built.
        model: its config.
    """
    from vision_research.ops.mmcv_ext.dispatch import describe_refusal

    layers = {type(layer) for layer in detector.modules() if type(layer).__module__.startswith("mmcv.ops.")}
    called = {
        **{f"model has a {layer.__name__}": _called(sys.modules[layer.__module__]) for layer in layers},
        **{f"{place}.type={function.__name__}": _called(function) for place, function in _functions(model)},
    }
    return [f"{where}: {describe_refusal(names[0])}" for where, names in sorted(called.items()) if names]


def _functions(model: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The functions of mmcv that the config names, such as a kind of suppression."""
    import mmcv.ops

    for place, node in typed_dicts(model, "model"):
        function = getattr(mmcv.ops, node["type"], None) if isinstance(node["type"], str) else None
        if inspect.isfunction(function):
            yield place, function


def _called(code: Any) -> list[str]:
    """The operators that a module or a function of mmcv calls, and that are not there."""
    from vision_research.ops.mmcv_ext.dispatch import is_refused

    return [name for name in re.findall(r"ext_module\.(\w+)", inspect.getsource(code)) if is_refused(name)]
