"""Train a detector: `python -m vision_research.train model=faster_rcnn aug=mosaic_mixup hw=2gpu`."""

from __future__ import annotations

import sys

from vision_research.config.compose import Composition, command, replay_overrides
from vision_research.config.errors import UserError
from vision_research.config.schema import TrainConfig
from vision_research.launch.sweep import sweep_closed
from vision_research.registry import monitor_of


def prepare_composition() -> None:
    """Check the versions of MMDetection, MMEngine and MMCV, and download what Hydra needs from S3.

    That is the overrides of a resumed run, and experiments. A `UserError` becomes an exit message.
    """
    from vision_research.checks.package_rules import require_detection_packages

    try:
        require_detection_packages()
        if any(word.startswith("resume=s3:/") for word in sys.argv[1:]):
            from vision_research.flow.from_s3 import resume_words

            sys.argv[1:] = resume_words(sys.argv[1:])
        words = replay_overrides(sys.argv[1:])
        if any("experiment=" in word and "s3:/" in word for word in words):
            from vision_research.flow.from_s3 import fetch_experiments

            fetch_experiments(words)
    except UserError as error:
        sys.exit(str(error))


@command("train", monitor_of)
def main(composition: Composition[TrainConfig]) -> float | None:
    """Run one training and return its metric to Hydra's sweepers."""
    from vision_research.flow.train import train

    return train(composition)


if __name__ == "__main__":
    prepare_composition()
    with sweep_closed():
        main()
