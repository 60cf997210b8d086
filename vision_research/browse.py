"""See the data as the detector will: `python -m vision_research.browse aug=mosaic_mixup`, as one types a training."""

from __future__ import annotations

from vision_research.config.command_schema import BrowseCommand
from vision_research.config.compose import Composition, command


@command("browse")
def main(composition: Composition[BrowseCommand]) -> None:
    """Draw images with their objects after augmentation."""
    from vision_research.flow.browse import browse

    browse(composition)


if __name__ == "__main__":
    main()
