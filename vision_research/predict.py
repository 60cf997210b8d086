"""Detect in images without annotations: `python -m vision_research.predict run=WORK_DIR images=FOLDER`."""

from __future__ import annotations

from vision_research.config.command_schema import PredictCommand
from vision_research.config.compose import Composition, command


@command("predict")
def main(composition: Composition[PredictCommand]) -> None:
    """Write the detections of a checkpoint or an artifact as COCO results."""
    from vision_research.flow.predict import predict

    predict(composition.config)


if __name__ == "__main__":
    main()
