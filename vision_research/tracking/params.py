"""Builds the params and tags that identify a run in MLflow's tables: its settings, and where it came from."""

from __future__ import annotations

import getpass
import json
import os
import platform
import shlex
import socket
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vision_research.tracking.names import metric_name
from vision_research.tracking.source_version import SourceVersion

# mlflow/utils/validation.py: MAX_PARAM_VAL_LENGTH; a test compares the two.
MAX_PARAM_LENGTH = 6000
_PACKAGES = ("vision-research", "torch", "mmcv", "mmengine", "mmdet")


def flat_params(settings: Mapping[str, Any]) -> dict[str, str]:
    """Write settings as MLflow params.

    Args:
        settings: by which runs are compared; a nested mapping becomes dotted keys.

    Returns:
        One short string per setting: `true`/`false`, `none`, numbers as Python prints them, lists as JSON without
        spaces (`[640,640]`). A value that is longer than MLflow stores is cut and ends in `...`.
    """
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat.update({f"{metric_name(key)}.{inner}": text for inner, text in flat_params(value).items()})
        else:
            flat[metric_name(key)] = _cut(_text(value))
    return flat


def run_tags(
    argv: Sequence[str], source: SourceVersion | None, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Write where a run comes from as tags. Tags that MLflow knows have its own names, so that its tables show them.

    Args:
        argv: the command as it was typed, interpreter first (`sys.orig_argv`).
        source: state of the git checkout; None outside of one.
        environ: environment to read; None is that of this process.

    Returns:
        User, host, command line, git commit and dirty flag, Python and package versions.
    """
    tags = {
        "mlflow.user": _user(os.environ if environ is None else environ),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": _program(argv),
        "host": socket.gethostname(),
        # Without the folder of the interpreter, which would fill the column of a table.
        "command": shlex.join([Path(argv[0]).name, *argv[1:]]),
        "version.python": platform.python_version(),
    }
    tags.update({f"version.{name}": _version(name) for name in _PACKAGES})
    if source is not None:
        tags.update({"mlflow.source.git.commit": source.commit, "git.commit": source.commit})
        tags.update({"git.branch": source.branch, "git.dirty": _text(source.dirty)})
    return tags


def _program(argv: Sequence[str]) -> str:
    return argv[2] if len(argv) > 2 and argv[1] == "-m" else Path(argv[0]).name


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "none"
    if isinstance(value, (list, tuple)):
        return json.dumps(value, separators=(",", ":"), default=str)
    return str(value)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_PARAM_LENGTH else f"{text[: MAX_PARAM_LENGTH - 3]}..."


def _user(environ: Mapping[str, str]) -> str:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if environ.get(name):
            return environ[name]
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's numeric user has no entry in the user database
        return f"uid-{os.getuid()}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
