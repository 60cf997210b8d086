"""The result of a check of the machine or an installed package, for the doctor and `train`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


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
