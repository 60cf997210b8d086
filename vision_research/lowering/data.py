"""Lowers the data: the task of the run returns the loaders and evaluators, given the pipelines of the augmentation."""

from __future__ import annotations

from typing import Any

from vision_research.config.splits import SPLITS
from vision_research.lowering.templates import test_template, train_template
from vision_research.protocols import LoweringInputs, RunSpec


def lower_data(run: RunSpec, inputs: LoweringInputs) -> dict[str, Any]:
    """Return the loaders and evaluators of training, validation and test.

    Args:
        run: the run.
        inputs: facts about the data and the machine.
    """
    lowered = {key: value for split in SPLITS for key, value in lower_split(run, inputs, split).items()}
    # A zoo file may lack the keys of validation or test.
    return {key: value for key, value in lowered.items() if value is not None or key in (run.data.recipe or {})}


def lower_split(run: RunSpec, inputs: LoweringInputs, split: str) -> dict[str, Any]:
    """Return the loader of a split, and for `val` and `test` its evaluator.

    Args:
        run: the run.
        inputs: facts about the data and the machine.
        split: `train`, `val` or `test`.
    """
    template = train_template(run, inputs) if split == "train" else test_template(run, split)
    lowered = {f"{split}_dataloader": run.task.loader(run, inputs, split, template, run.feeds)}
    return lowered if split == "train" else {**lowered, f"{split}_evaluator": run.task.evaluator(run, split)}
