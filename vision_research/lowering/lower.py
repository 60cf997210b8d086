"""Assembles the MMEngine config."""

from __future__ import annotations

from typing import Any

from vision_research.lowering.data import lower_data
from vision_research.lowering.model import lower_model
from vision_research.lowering.runtime import lower_runtime
from vision_research.lowering.schedule import lower_schedule
from vision_research.protocols import LoweringInputs, RunSpec


def lower(run: RunSpec, inputs: LoweringInputs) -> dict[str, Any]:
    """Convert a run to an MMEngine config.

    Args:
        run: the run, already validated.
        inputs: facts about the data, the machine and the work_dir.

    Returns:
        A tree of dicts, lists, tuples and scalars.

    Raises:
        ConfigError: the class count cannot be set in the detector.
    """
    return {
        **lower_runtime(run, inputs),
        **lower_schedule(run, inputs),
        **lower_data(run, inputs),
        "model": lower_model(run, inputs),
    }
