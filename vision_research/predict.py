"""Detect in images of your own: `python -m vision_research.predict run=WORK_DIR images=FOLDER out=predictions`."""

from __future__ import annotations

from vision_research.config.command_schema import PredictCommand
from vision_research.config.compose import Composition, command


@command("predict")
def main(composition: Composition[PredictCommand]) -> None:
    """Write what a checkpoint or an artifact finds as COCO results."""
    from vision_research.flow.predict import predict

    predict(composition.config)


if __name__ == "__main__":
    main()
