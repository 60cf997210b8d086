"""Whether a rank's command still owns the folder of the run; a rank whose command does not writes nothing into it.

Every command that goes on with a run counts the number in the folder up, after it has ended the ranks of the one
before. On another machine it cannot end them; there they find out here.
"""

from __future__ import annotations

import os

from vision_research.config.errors import UserError
from vision_research.work_dir import OWNER, WorkDir


class OwnershipLostError(UserError):
    """Another command goes on with the run."""


def remember_owner(work_dir: WorkDir) -> None:
    """Take the folder's number as that of this rank's command, where the command did not say it, as on other machines.

    Args:
        work_dir: folder of the run.
    """
    os.environ.setdefault(OWNER, str(work_dir.owner))


def is_owner(work_dir: WorkDir) -> bool:
    """Return whether the command of this rank owns the folder of its run, or nobody has counted."""
    mine = os.environ.get(OWNER)
    return mine is None or work_dir.owner == int(mine)


def require_ownership(work_dir: WorkDir) -> None:
    """Raise `OwnershipLostError` if another command owns the folder of the run now."""
    if not is_owner(work_dir):
        raise OwnershipLostError(
            f"{work_dir.root}: another command goes on with this run, so this one ends and writes nothing more"
        )
