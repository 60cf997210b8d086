"""A run with its task and its feeds, for lowering and checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vision_research.protocols.feed import Feed
from vision_research.protocols.part import RunPart
from vision_research.protocols.run_config import RunConfig
from vision_research.protocols.task import Task


@dataclass(frozen=True)
class RunSpec(RunConfig):
    """The configuration of a run with its task and feeds.

    Attributes:
        task: what is learnt and scored.
        feeds: additional inputs of the detector, in the order in which they change the data of the task.
    """

    task: Task
    feeds: tuple[Feed, ...]

    @property
    def counted_batch_size(self) -> int:
        """Images of a training batch that count for the length of an epoch; images that a feed adds do not."""
        return min([self.data.batch_size, *(feed.counted_per_batch(self) for feed in self.feeds)])

    def fitted_step(self, step: dict[str, Any], split: str) -> dict[str, Any]:
        """Let the task and the feeds replace a transform of a pipeline.

        Args:
            step: config of the transform.
            split: `train`, `val` or `test`.
        """
        parts: tuple[RunPart, ...] = (self.task, *self.feeds)
        for part in parts:
            step = part.step(step, self, split)
        return step

    def fitted_pipeline(self, pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Let the feeds change a whole pipeline, from loading to packing."""
        for feed in self.feeds:
            pipeline = feed.pipeline(pipeline, self)
        return pipeline
