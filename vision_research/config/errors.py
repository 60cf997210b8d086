"""The errors that a person reads: one clear message, and what to type instead.

Owns the exception types that commands turn into exit code 1. Knows nothing of Hydra or MMEngine.
"""

from __future__ import annotations

from collections.abc import Sequence


class UserError(Exception):
    """Something the person can mend; commands print the message without a traceback and exit with 1."""


class ConfigError(UserError):
    """One or more problems in what the person typed or wrote.

    Every problem found is collected first and raised once, so that a run is mended in one go.

    Attributes:
        problems: each names the full key, the value got, what is allowed and what to type.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class EnvironmentProblem(UserError):
    """The machine or an installed package is not fit for the run; the message holds the remedy to type."""
