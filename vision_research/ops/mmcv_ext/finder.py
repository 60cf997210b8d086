"""Answers `import mmcv._ext`. Loads neither torch nor mmcv."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

NAME = "mmcv._ext"


class Extension(ModuleType):
    """Stands for mmcv's extension; each function is looked up when it is called, so that `ops` can be chosen late."""

    def __getattr__(self, name: str) -> Any:
        """Find an operator; Python's own names are none."""
        if name.startswith("__"):
            raise AttributeError(name)
        from vision_research.ops.mmcv_ext.dispatch import operator

        return operator(name)


class ExtensionFinder:
    """Finds and loads `mmcv._ext`, and nothing else."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Answer Python's import system.

        Args:
            name: of the module that is imported.
            path: of its package.
            target: a module that is reloaded.
        """
        return ModuleSpec(NAME, ExtensionFinder) if name == NAME else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        """Answer Python's import system."""
        return Extension(NAME)

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Answer Python's import system: nothing is left to do."""


def install() -> None:
    """Put the finder before those that would find a compiled extension, once; one that is loaded is replaced."""
    if ExtensionFinder not in sys.meta_path:
        sys.meta_path.insert(0, ExtensionFinder)
    loaded = sys.modules.get(NAME)
    if loaded is None or isinstance(loaded, Extension):
        return
    # mmcv was imported first: each of its modules has the extension under this name.
    sys.modules[NAME] = extension = Extension(NAME)
    sys.modules["mmcv"]._ext = extension  # type: ignore[attr-defined]
    for name, module in list(sys.modules.items()):
        if name.startswith("mmcv.ops.") and getattr(module, "ext_module", None) is loaded:
            module.ext_module = extension  # type: ignore[attr-defined]
