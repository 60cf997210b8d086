"""The git state of the checkout that ran. Never fails a run: no git, no tags."""

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
        dirty: whether tracked files differ from HEAD; untracked files (runs, data) do not count.
    """

    commit: str
    branch: str
    dirty: bool


def source_version(folder: Path) -> SourceVersion | None:
    """Read the state of the checkout that a folder is in.

    Args:
        folder: any folder of it.

    Returns:
        Its state; None outside of a checkout, before the first commit, or where git is not installed.
    """
    # GitPython raises at import where there is no git program, unless told not to.
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
