"""Tells whether an MMEngine config is data or can run code: those that come from a tracker or a bucket must be data.

MMEngine executes a config file, imports what `custom_imports` names, reads `_base_` files, and calls whatever a dotted
`type` names, as `type='subprocess.Popen'`. The `config.py` of a run is a list of assignments of plain values.
"""

from __future__ import annotations

import ast
from typing import Any

from vision_research.config.tree import dicts

# Packages whose classes a config may name by their path; a function of theirs could start a process.
_PACKAGES = ("mmdet", "mmengine", "mmcv", "mmpretrain", "vision_research")
TRUST_CONFIG = "If you know where it comes from, allow it with trust_config=true"


def code_in_config(text: str) -> str | None:
    """Return why loading a config or building what it names would run code, or None for plain data.

    Args:
        text: content of a Python config file.
    """
    try:
        tree = {name: _value(node) for statement in ast.parse(text).body for name, node in _assigned(statement)}
    except _CodeError as error:
        return str(error)
    except SyntaxError as error:
        return f"line {error.lineno} is no assignment of a value"
    except (ValueError, TypeError, RecursionError) as error:
        # A zero byte, a key that no dict takes, very deep brackets.
        return str(error)
    # Those of an installed package (`mmdet::NAME`) are trusted as the package is.
    bases = _names(tree.get("_base_", []))
    if other := next((name for name in bases if name.partition("::")[0] not in _PACKAGES or "::" not in name), None):
        return f"_base_ names the file {other}"
    if "{{" in text:
        return "{{ }} is filled in by MMEngine"
    imports = tree.get("custom_imports") or {}
    names = imports.get("imports", []) if isinstance(imports, dict) else [imports]
    return next((f"custom_imports names {name}" for name in _names(names) if not _is_ours(name)), _called(tree))


class _CodeError(Exception):
    """An expression is no plain value."""


def _assigned(statement: ast.stmt) -> list[tuple[str, ast.expr]]:
    if isinstance(statement, ast.Assign) and all(isinstance(target, ast.Name) for target in statement.targets):
        return [(target.id, statement.value) for target in statement.targets if isinstance(target, ast.Name)]
    # A text that stands alone is a comment.
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return []
    raise _CodeError(f"line {statement.lineno} is no assignment: {_first_words(statement)}")


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "dict" and not node.args:
        if not all(word.arg for word in node.keywords):
            raise _CodeError(f"line {node.lineno} is no plain value: {_first_words(node)}")
        return {str(word.arg): _value(word.value) for word in node.keywords}
    if isinstance(node, ast.Call) and ast.unparse(node) in ("float('inf')", "float('-inf')", "float('nan')"):
        return float("inf")
    if isinstance(node, ast.Dict) and all(node.keys):
        keys = [_value(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return [_value(item) for item in node.elts]
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError) as error:
        raise _CodeError(f"line {node.lineno} is no plain value: {_first_words(node)}") from error


def _names(value: Any) -> list[str]:
    return [str(name) for name in (value if isinstance(value, list) else [value])]


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == "vision_research"


def _called(tree: dict[str, Any]) -> str | None:
    for path, node in dicts(tree):
        name = node.get("type")
        if isinstance(name, str) and "." in name:
            package, _, _ = name.partition(".")
            if package not in _PACKAGES or not name.rpartition(".")[2][:1].isupper():
                return f"{path}.type is {name}, which MMEngine would import and call"
    return None


def _first_words(node: ast.AST) -> str:
    text = ast.unparse(node).splitlines()[0]
    return text if len(text) <= 60 else f"{text[:57]}..."
