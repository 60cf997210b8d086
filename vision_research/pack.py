"""Pack a data set for S3: `python -m vision_research.pack data=coco data.root=images ... out=s3://BUCKET/packed`."""

from __future__ import annotations

from vision_research.config.command_schema import PackCommand
from vision_research.config.compose import Composition, command


@command("pack")
def main(composition: Composition[PackCommand]) -> None:
    """Pack many small images into a few large objects, of which a training reads whole blocks."""
    from vision_research.flow.pack import pack

    pack(composition.config)


if __name__ == "__main__":
    main()
