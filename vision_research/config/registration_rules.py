"""Rules for registering a model with the `test` command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vision_research.config.command_schema import Split, TestCommand
from vision_research.config.schema import Tracker

# The format that MLflow can serve.
SERVED_SUFFIX = ".ts"


def registration_problems(command: TestCommand) -> Iterator[str]:
    """Yield why no model can be registered: no artifact, several, one that MLflow cannot serve, or no tracked run."""
    tracking = command.tracking
    if (name := tracking.register_as) is None:
        return
    prefix = f"tracking.register_as={name}: "
    if not (isinstance(command.artifact, str) and Path(command.artifact).suffix == SERVED_SUFFIX):
        yield f"{prefix}artifact={command.artifact}: one TorchScript file is registered. Type artifact=model.ts"
    if command.run is None or tracking.kind is Tracker.none:
        yield f"{prefix}a version belongs to a tracked run. Type run=WORK_DIR, and leave tracking=none out"
    if command.split is not Split.test:
        yield f"{prefix}the test images decide. Leave split out"
    if tracking.promote_margin < 0:
        yield f"{prefix}tracking.promote_margin={tracking.promote_margin}: has to be 0 or more"
