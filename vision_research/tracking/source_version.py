"""Reads the git state of the checkout from which a command runs. Without git a run has no such tags."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourceVersion:
    """State of a checkout.

    Attributes:
        commit: full hash of HEAD.
        branch: its name, or `detached`.
        dirty: whether tracked files differ from HEAD; untracked files (runs, data) are ignored.
    """

    commit: str
    branch: str
    dirty: bool


def source_version(folder: Path) -> SourceVersion | None:
    """Read the state of a checkout.

    Args:
        folder: any folder in it.

    Returns:
        Its state; None outside of a checkout, before the first commit, or if git is not installed.
    """
    # Without this setting GitPython raises at import if there is no git program.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    from git import Repo
    from git.exc import GitError

    try:
        with Repo(folder, search_parent_directories=True) as repo:
            branch = "detached" if repo.head.is_detached else repo.active_branch.name
            return SourceVersion(repo.head.commit.hexsha, branch, repo.is_dirty(untracked_files=False))
    except (GitError, ValueError, OSError) as error:  # ValueError: a repository without a commit
        logger.debug("No git state of %s: %s", folder, error)
        return None
