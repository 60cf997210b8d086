"""The results of checks of the machine and the installed packages, for the doctor and `train`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from vision_research.config.errors import EnvironmentProblem

logger = logging.getLogger(__name__)


class Severity(Enum):
    """Whether a failed check prevents a run."""

    error = "error"
    warning = "warning"


@dataclass(frozen=True)
class Check:
    """The result of a check.

    Attributes:
        name: what was checked, such as `mmcv`.
        ok: whether the check passed.
        found: what was found; the problem, if the check failed.
        severity: whether a failure prevents a run.
        remedy: the lines to type, or None.
    """

    name: str
    ok: bool
    found: str
    severity: Severity = Severity.error
    remedy: str | None = None

    @property
    def refuses(self) -> bool:
        """Whether a run must not start."""
        return not self.ok and self.severity is Severity.error

    def __str__(self) -> str:
        """Return name, finding and remedy as an error message."""
        if self.remedy is None:
            return f"{self.name}: {self.found}"
        return f"{self.name}: {self.found}. Type:\n" + "\n".join(f"    {line}" for line in self.remedy.splitlines())


def refuse(found: Sequence[Check]) -> None:
    """Log the failed checks that are warnings, and raise one error with the others.

    Raises:
        EnvironmentProblem: at least one check failed with an error.
    """
    for check in found:
        if not check.ok and not check.refuses:
            logger.warning("%s", check)
    if problems := [str(check) for check in found if check.refuses]:
        raise EnvironmentProblem("\n".join(problems))
