"""Rules of the `browse` group."""

from __future__ import annotations

from collections.abc import Iterator

from vision_research.config.addresses import is_s3
from vision_research.config.command_schema import BrowseConfig, Phase


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
