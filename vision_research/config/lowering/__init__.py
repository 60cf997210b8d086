"""Lowering: the typed tree of a run becomes one MMEngine config. Pure, and the only place that assembles one."""

from vision_research.config.lowering.inputs import LoweringInputs
from vision_research.config.lowering.lower import lower

__all__ = ["LoweringInputs", "lower"]
