"""Shows the augmented images of a training: `python -m vision_research.browse aug=mosaic_mixup`."""

from __future__ import annotations

from vision_research.config.command_schema import BrowseCommand
from vision_research.config.compose import Composition, command
from vision_research.registry import monitor_of


@command("browse", monitor_of)
def main(composition: Composition[BrowseCommand]) -> None:
    """Draw augmented images with their objects."""
    from vision_research.flow.browse import browse

    browse(composition)


if __name__ == "__main__":
    main()
