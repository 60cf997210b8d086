"""A run with its task and its feeds, for checks and lowering."""

from __future__ import annotations

from dataclasses import dataclass

from vision_research.protocols.feed import Feed
from vision_research.protocols.part import LoweringRun, RunConfig, RunPart, Step
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

    def fitted_step(self, step: Step, split: str) -> Step:
        """Let the task and the feeds replace a transform of a pipeline.

        Args:
            step: config of the transform.
            split: `train`, `val` or `test`.
        """
        parts: tuple[RunPart, ...] = (self.task, *self.feeds)
        for part in parts:
            step = part.step(step, self, split)
        return step

    def fitted_pipeline(self, pipeline: list[Step]) -> list[Step]:
        """Let the feeds change a whole pipeline, from loading to packing."""
        for feed in self.feeds:
            pipeline = feed.pipeline(pipeline, self)
        return pipeline


@dataclass(frozen=True)
class LoweringSpec(RunSpec, LoweringRun):
    """A run with its task and feeds and the inputs of its lowering."""
