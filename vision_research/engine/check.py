"""One finding about the machine or an installed package, in the words that the doctor and `train` share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """What a check that fails means for a run."""

    error = "error"
    warning = "warning"


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and what to type about it.

    Attributes:
        name: what was looked at, such as `mmcv`.
        ok: whether it is fit.
        found: what is there; where it is not fit, what is wrong with it.
        severity: whether a run must be refused where it is not fit.
        remedy: the lines to type, or None where `found` says it or nothing is wrong.
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
        """Name, finding and remedy, as an error message shows them."""
        if self.remedy is None:
            return f"{self.name}: {self.found}"
        return f"{self.name}: {self.found}. Type:\n" + "\n".join(f"    {line}" for line in self.remedy.splitlines())
