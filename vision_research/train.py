"""Train a detector: `python -m vision_research.train model=faster_rcnn aug=mosaic_mixup hw=2gpu`."""

from __future__ import annotations

from vision_research.config.compose import Composition, command


@command("train")
def main(composition: Composition) -> float | None:
    """Run one training and return its metric, for Hydra's sweepers."""
    from vision_research.flow.train import train

    return train(composition)


if __name__ == "__main__":
    main()
