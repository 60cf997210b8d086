"""The protocols of tasks and feeds, and the types of their arguments."""

from vision_research.protocols.feed import Feed
from vision_research.protocols.part import LoweringInputs, RunConfig
from vision_research.protocols.run_spec import RunSpec
from vision_research.protocols.task import MetricInfo, Task

__all__ = ["Feed", "LoweringInputs", "RunSpec", "RunConfig", "MetricInfo", "Task"]
