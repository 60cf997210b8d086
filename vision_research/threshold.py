"""Choose the score thresholds of a model: `python -m vision_research.threshold run=WORK_DIR artifact=model.ts`."""

from __future__ import annotations

from vision_research.config.command_schema import ThresholdCommand
from vision_research.config.compose import Composition, command


@command("threshold")
def main(composition: Composition[ThresholdCommand]) -> None:
    """Choose a threshold for each class on the validation set, and measure it on the test set."""
    from vision_research.flow.threshold import threshold

    threshold(composition.config)


if __name__ == "__main__":
    main()
