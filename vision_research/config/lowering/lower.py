"""The lowering as a whole."""

from __future__ import annotations

from typing import Any

from vision_research.config.lowering.data import lower_data
from vision_research.config.lowering.inputs import LoweringInputs
from vision_research.config.lowering.model import lower_model
from vision_research.config.lowering.runtime import lower_runtime
from vision_research.config.lowering.schedule import lower_schedule
from vision_research.config.schema import TrainConfig


def lower(config: TrainConfig, inputs: LoweringInputs) -> dict[str, Any]:
    """Turn the typed tree of a run into an MMEngine config.

    Args:
        config: the run, already validated.
        inputs: facts about the data, the machine and the work_dir.

    Returns:
        A plain tree of dicts, lists, tuples and scalars, as `mmengine.Config` takes it.

    Raises:
        ConfigError: the detector has no place for the class count.
    """
    return {
        **lower_runtime(config, inputs),
        **lower_schedule(config, inputs),
        **lower_data(config, inputs),
        "model": lower_model(config, inputs),
    }
