"""Assembles the MMEngine config."""

from __future__ import annotations

from typing import Any

from vision_research.config.schema import SPLITS
from vision_research.lowering.model import lower_model
from vision_research.lowering.runtime import lower_runtime
from vision_research.lowering.schedule import lower_schedule
from vision_research.lowering.templates import test_template, train_template
from vision_research.protocols import LoweringInputs, RunSpec
from vision_research.protocols.run_spec import LoweringSpec


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
    spec = LoweringSpec(**vars(run), inputs=inputs)
    return {**lower_runtime(spec), **lower_schedule(spec), **_lower_data(spec), "model": lower_model(spec)}


def lower_split(run: LoweringSpec, split: str) -> dict[str, Any]:
    """Return the loader of a split, and for `val` and `test` its evaluator.

    Args:
        run: the run.
        split: `train`, `val` or `test`.
    """
    template = train_template(run) if split == "train" else test_template(run, split)
    lowered = {f"{split}_dataloader": run.task.loader(run, split, template, run.feeds)}
    return lowered if split == "train" else {**lowered, f"{split}_evaluator": run.task.evaluator(run, split)}


def _lower_data(run: LoweringSpec) -> dict[str, Any]:
    lowered = {key: value for split in SPLITS for key, value in lower_split(run, split).items()}
    # A zoo file may lack the keys of validation or test.
    return {key: value for key, value in lowered.items() if value is not None or key in (run.data.recipe or {})}
