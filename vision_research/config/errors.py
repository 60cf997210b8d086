"""Errors that the user can correct: commands print their message and exit with 1. Independent of Hydra and MMEngine."""

from __future__ import annotations

from collections.abc import Sequence


class UserError(Exception):
    """An error that the user can correct; commands print the message without a traceback and exit with 1."""


class ConfigError(UserError):
    """One or more problems in the configuration or the data; they are collected and raised together.

    Attributes:
        problems: each names the full key, its value, what is allowed and what to type.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class EnvironmentProblem(UserError):
    """The machine or an installed package does not support the run; the message says what to type."""
