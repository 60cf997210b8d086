"""Checkpoints and configs that are typed as a path or as an address in S3, and places where results can be written."""

from __future__ import annotations

import ast
import logging
import tempfile
from pathlib import Path

from vision_research.config.addresses import is_s3
from vision_research.config.errors import ConfigError
from vision_research.storage.s3.errors import S3NotFoundError
from vision_research.storage.s3.settings import default_settings
from vision_research.storage.s3.transfer import download_verified
from vision_research.storage.s3.uri import S3Uri

logger = logging.getLogger(__name__)


def local_file(key: str, typed: str) -> Path:
    """Return the absolute path of a typed file; one in S3 is fetched into torch's cache of downloads, once a version.

    Args:
        key: of the config, for the text of an error.
        typed: a path, or `s3://BUCKET/KEY`.

    Raises:
        ConfigError: there is no such file or object.
        S3Error: it may not be read, arrived damaged, or the server did not answer in time.
    """
    if is_s3(typed):
        return _fetched(key, typed)
    path = Path(typed).absolute()
    if not path.is_file():
        raise ConfigError(f"{key}={typed}: there is no such file. Type {key}=FILE or {key}=s3://BUCKET/KEY")
    return path


def local_config(typed: str) -> Path:
    """Return a typed config as `local_file` does; `ConfigError` also if one in S3 inherits from files beside it."""
    path = local_file("config", typed)
    if is_s3(typed) and _names_bases(path):
        raise ConfigError(
            f"config={typed}: is built on other files (_base_), which would be sought on this machine. Type the "
            "config.py of a run, which is whole, or config=FILE with a copy that has them beside it"
        )
    return path


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


def _fetched(key: str, address: str) -> Path:
    import torch

    folder = Path(torch.hub.get_dir()) / "checkpoints" / "s3"
    logger.info("fetching %s into %s", address, folder)
    try:
        return download_verified(S3Uri.parse(address), folder, default_settings())
    except S3NotFoundError as error:
        raise ConfigError(f"{key}={address}: there is no such object. Type {key}=s3://BUCKET/KEY") from error


def _names_bases(path: Path) -> bool:
    """Tell whether a config inherits from files beside it; those of a package (`mmdet::NAME`) are found anywhere."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return False  # JSON or YAML, or a broken file, which MMEngine reports
    values = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(it, ast.Name) and it.id == "_base_" for it in node.targets)
    ]
    names = [leaf.value for value in values for leaf in ast.walk(value) if isinstance(leaf, ast.Constant)]
    return any("::" not in str(name) for name in names)
