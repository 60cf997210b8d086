"""Checks before anything is computed that results can be written to the typed place."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vision_research.config.errors import ConfigError


def require_writable(key: str, path: Path) -> None:
    """Refuse a file or folder that cannot be made.

    Args:
        key: what was typed, for example `export.output`.
        path: absolute path of what will be written; it may exist, its folders may not.

    Raises:
        ConfigError: it lies below a file, or in a folder that this user may not write to.
    """
    nearest = next(parent for parent in path.parents if parent.exists())
    if not nearest.is_dir():
        raise ConfigError(f"{key}={path}: {nearest} is a file. Type {key}=<a path below a folder>")
    try:
        # A file is made, since `os.access` answers yes to root, and to users whom a file server maps to nobody.
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise ConfigError(
            f"{key}={path}: {nearest} cannot be written by this user. Type {key}=<another place>"
        ) from error
