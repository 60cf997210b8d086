"""The error of an export that cannot be done, or whose artifact is found to be wrong."""

from __future__ import annotations

from vision_research.config.errors import UserError


class ExportError(UserError):
    """The detector cannot be exported as asked; the message says why and what to do. No artifact is left behind."""
