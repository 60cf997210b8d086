"""The steps of the `predict` command: find detector and images, detect and write batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vision_research.config.command_schema import PredictCommand
from vision_research.config.errors import ConfigError
from vision_research.console.progress_bar import counting
from vision_research.console.quiet import quiet_warnings
from vision_research.datasets.predictions import Predictions
from vision_research.flow.detectors import Detectors, find_detectors
from vision_research.flow.source import configure_s3
from vision_research.flow.test_as_trained import require_boxes
from vision_research.inference.image_source import find_images
from vision_research.inference.predict_images import batches, class_thresholds, image_drawer, predict_batch
from vision_research.storage.typed_files import require_writable


def predict(command: PredictCommand) -> Path:
    """Detect in images; return the COCO file. A command that was interrupted continues after its last batch.

    Raises:
        UserError: the configuration or a file is wrong.
    """
    quiet_warnings()
    if command.batch_size < 1:
        raise ConfigError(f"batch_size={command.batch_size}: has to be 1 or more. Type batch_size=8")
    out = Path(command.out).absolute()
    require_writable("out", out / "predictions.json")
    configure_s3(command)
    images = find_images(command.images, command.data.max_pixels)
    detectors = find_detectors(command)
    require_boxes(detectors.config, command, "predict writes")
    thresholds = class_thresholds(command.thresholds, command.score_thr, detectors.classes)
    predictions = Predictions(out, _made_by(command, detectors, len(images)))
    if predictions.is_complete:
        print(f"{predictions.result} is complete already", flush=True)
        return predictions.result
    predictor = detectors.chosen(command)
    draw = image_drawer(out / "drawn", predictor.classes, command.draw_score_thr) if command.draw else None
    with counting("predicting", len(images), predictions.num_done) as count:
        for batch in batches(images.pictures(predictions.num_done), command.batch_size):
            predictions.add(predict_batch(batch, predictor, thresholds, draw))
            count.advance(len(batch))
    num_done = predictions.num_done
    _sum_up(predictions.result, num_done, predictions.finish(detectors.classes))
    return predictions.result


def _made_by(command: PredictCommand, detectors: Detectors, num_images: int) -> dict[str, Any]:
    """Describe the inputs of the predictions; a folder with predictions of other inputs is refused."""
    file = detectors.artifacts[0].artifact.path if detectors.artifacts else None
    if file is None and detectors.source is not None:
        file = detectors.source.checkpoint
    assert file is not None
    return {
        "detector": str(file.absolute()),
        "detector_changed": int(file.stat().st_mtime),
        "images": str(command.images),
        "num_images": num_images,
        "score_thr": command.score_thr,
        "thresholds": command.thresholds,
        "draw": command.draw,
    }


def _sum_up(result: Path, num_images: int, problems: Sequence[dict[str, Any]]) -> None:
    print(f"\n{num_images - len(problems)} images predicted: {result}", flush=True)
    if problems:
        names = ", ".join(f"{entry['file_name']} ({entry['problem']})" for entry in problems[:20])
        more = f" and {len(problems) - 20} more" if len(problems) > 20 else ""
        print(f"{len(problems)} could not be used: {names}{more}", flush=True)
