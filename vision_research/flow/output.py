"""Whether results can be written where they were asked for, found out before anything is computed."""

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
        # Asked by doing it: `os.access` tells root, and those whom a server maps to nobody, that they may.
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise ConfigError(
            f"{key}={path}: {nearest} cannot be written by this user. Type {key}=<another place>"
        ) from error
