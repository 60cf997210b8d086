"""Export a detector: `python -m vision_research.export run=WORK_DIR export=torchscript export.shape=[1080,1920]`."""

from __future__ import annotations

from vision_research.config.command_schema import ExportCommand
from vision_research.config.compose import Composition, command


@command("export")
def main(composition: Composition[ExportCommand]) -> None:
    """Export the best checkpoint of a run, or a checkpoint file."""
    from vision_research.flow.export import export

    export(composition.config)


if __name__ == "__main__":
    main()
