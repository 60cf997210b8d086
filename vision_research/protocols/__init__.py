"""The protocols of tasks and feeds, and the types of their arguments."""

from vision_research.protocols.feed import Feed
from vision_research.protocols.part import DataFile, LoweringInputs, LoweringRun, RunConfig, RunPart, Step
from vision_research.protocols.run_spec import LoweringSpec, RunSpec
from vision_research.protocols.task import MetricInfo, Results, Task

__all__ = [
    "DataFile",
    "Feed",
    "LoweringInputs",
    "LoweringRun",
    "LoweringSpec",
    "MetricInfo",
    "Results",
    "RunConfig",
    "RunPart",
    "RunSpec",
    "Step",
    "Task",
]
