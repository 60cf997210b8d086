"""Lowering: pure functions that convert the typed configuration of a run to an MMEngine config."""

from vision_research.lowering.lower import lower

__all__ = ["lower"]
