"""Builds the params and tags that identify a run in MLflow's tables: its settings, and where it came from."""

from __future__ import annotations

import getpass
import json
import logging
import os
import platform
import shlex
import socket
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vision_research.tracking.names import metric_name

logger = logging.getLogger(__name__)

_PACKAGES = ("vision-research", "torch", "mmcv", "mmengine", "mmdet")


def git_tags(folder: Path) -> dict[str, str]:
    """Read the state of the checkout that a folder is in, as tags: commit, branch (or `detached`) and whether dirty.

    Untracked files (runs, data) are no dirt. Outside of a checkout, before the first commit, or without git there are
    no tags.
    """
    # Without this setting GitPython raises at import if there is no git program.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    from git import Repo
    from git.exc import GitError

    try:
        with Repo(folder, search_parent_directories=True) as repo:
            commit = repo.head.commit.hexsha
            return {
                "mlflow.source.git.commit": commit,
                "git.commit": commit,
                "git.branch": "detached" if repo.head.is_detached else repo.active_branch.name,
                "git.dirty": _text(repo.is_dirty(untracked_files=False)),
            }
    except (GitError, ValueError, OSError) as error:  # ValueError: a repository without a commit
        logger.debug("No git state of %s: %s", folder, error)
        return {}


def flat_params(settings: Mapping[str, Any]) -> dict[str, str]:
    """Write settings, by which runs are compared, as MLflow params; a nested mapping becomes dotted keys.

    Each value is one short string: `true`/`false`, `none`, numbers as Python prints them, lists as JSON without spaces
    (`[640,640]`). A value that is longer than MLflow stores is cut when it is sent.
    """
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat.update({f"{metric_name(key)}.{inner}": text for inner, text in flat_params(value).items()})
        else:
            flat[metric_name(key)] = _text(value)
    return flat


def run_tags(argv: Sequence[str], git: Mapping[str, str]) -> dict[str, str]:
    """Write where a run comes from as tags. Tags that MLflow knows have its own names, so that its tables show them.

    Args:
        argv: the command as it was typed, interpreter first (`sys.orig_argv`).
        git: tags of the checkout (`git_tags`).

    Returns:
        User, host, command line, git commit and dirty flag, Python and package versions.
    """
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": _program(argv),
        "host": socket.gethostname(),
        # Without the folder of the interpreter, which would fill the column of a table.
        "command": shlex.join([Path(argv[0]).name, *argv[1:]]),
        "version.python": platform.python_version(),
    }
    return tags | {f"version.{name}": _version(name) for name in _PACKAGES} | dict(git)


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


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's numeric user has no entry in the user database
        return f"uid-{os.getuid()}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
