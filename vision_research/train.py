"""Train a detector: `python -m vision_research.train model=faster_rcnn aug=mosaic_mixup hw=2gpu`."""

from __future__ import annotations

import sys

from vision_research.config.compose import Composition, command, exit_on_problem, replay_overrides
from vision_research.config.schema import TrainConfig
from vision_research.launch.sweep import sweep_closed
from vision_research.registry import monitor_of


@exit_on_problem
def refuse_wrong_packages() -> None:
    """Check the versions of MMDetection, MMEngine and MMCV before a zoo config is looked up."""
    from vision_research.checks.package_rules import require_detection_packages

    require_detection_packages()


@exit_on_problem
def fetch_from_s3() -> None:
    """Download what Hydra needs for the composition: the overrides of a resumed run, and experiments."""
    if any(word.startswith("resume=s3:/") for word in sys.argv[1:]):
        from vision_research.flow.from_s3 import resume_words

        sys.argv[1:] = resume_words(sys.argv[1:])
    words = replay_overrides(sys.argv[1:])
    if any("experiment=" in word and "s3:/" in word for word in words):
        from vision_research.flow.from_s3 import fetch_experiments

        fetch_experiments(words)


@command("train", monitor_of)
def main(composition: Composition[TrainConfig]) -> float | None:
    """Run one training and return its metric to Hydra's sweepers."""
    from vision_research.flow.train import train

    return train(composition)


if __name__ == "__main__":
    refuse_wrong_packages()
    fetch_from_s3()
    with sweep_closed():
        main()
