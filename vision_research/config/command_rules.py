"""Rules of the `browse` group."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vision_research.config.addresses import is_s3
from vision_research.config.command_schema import BrowseConfig, Phase, Split, TestCommand
from vision_research.config.schema import Tracker


def browse_problems(browse: BrowseConfig) -> Iterator[str]:
    """Yield the invalid values of the group, each with its key and what to type."""
    for key, value in (("num", browse.num), ("repeat", browse.repeat)):
        if value < 1:
            yield f"browse.{key}={value}: has to be 1 or more"
    if browse.stage not in (1, 2):
        yield f"browse.stage={browse.stage}: is 1, or 2 for the weak pipeline at the end of a training"
    if browse.stage == 2 and browse.phase is not Phase.train:
        yield f"browse.stage=2 with browse.phase={browse.phase.value}: training alone has stages"
    if browse.images is not None and not browse.images:
        yield "browse.images=[]: names no image. Type browse.images=[FILE,FILE], or browse.num=16"
    if is_s3(browse.out):
        yield f"browse.out={browse.out}: is a folder of this machine. Type browse.out=browse"


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
