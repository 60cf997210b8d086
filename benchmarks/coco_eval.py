"""How much faster COCO metrics are with hotcoco than with pycocotools: all of `evaluate`, in one process, in turns.

    python benchmarks/coco_eval.py [--images 5000] [--detections 10] [--rounds 2]

Prints the ratio of the two times (the best round of each) and the largest difference between their values.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import vision_research  # noqa: F401 (MMDetection imports the operators that it answers for)

# isort: split
import numpy as np
import torch
from mmdet.evaluation import CocoMetric
from mmengine.logging import MMLogger
from record import record

from vision_research.evaluation.coco_metric import CocoDetectionMetric

NUM_CLASSES = 80
NUM_BOXES = 7  # per image, as in COCO val2017
SIZE_PX = 640

Sample = dict[str, Any]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=10, help="per image")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    MMLogger.get_instance("benchmark", log_level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        ann_file = Path(folder) / "val.json"
        samples = make_samples(ann_file, arguments.images, arguments.detections)
        seconds: dict[type[Any], float] = {}
        values: dict[type[Any], dict[str, float]] = {}
        for _ in range(arguments.rounds):
            for metric in (CocoMetric, CocoDetectionMetric):
                elapsed, values[metric] = measure(metric, ann_file, samples)
                seconds[metric] = min(elapsed, seconds.get(metric, elapsed))
    # CocoMetric rounds to three decimals.
    ours = values[CocoDetectionMetric]
    difference = max(abs(value - round(ours[name], 3)) for name, value in values[CocoMetric].items())
    record("coco_eval", ratio=seconds[CocoMetric] / seconds[CocoDetectionMetric], difference=difference)
    print(f"{arguments.images} images, {NUM_CLASSES} classes, {arguments.detections} detections an image")
    print(f"CocoMetric (pycocotools)      {seconds[CocoMetric]:7.2f} s")
    print(f"CocoDetectionMetric (hotcoco) {seconds[CocoDetectionMetric]:7.2f} s")
    print(f"ratio {seconds[CocoMetric] / seconds[CocoDetectionMetric]:.1f}")
    print(f"largest difference of a value, in three decimals {difference:.1e}")


def measure(metric_type: type[Any], ann_file: Path, samples: list[Sample]) -> tuple[float, dict[str, float]]:
    """Return the seconds of one evaluation, and its values. Reading the annotation file is not part of it."""
    with contextlib.redirect_stdout(io.StringIO()):
        metric = metric_type(ann_file=str(ann_file))
        metric.dataset_meta = {"classes": tuple(f"class {number}" for number in range(NUM_CLASSES))}
        metric.process({}, samples)
        begin = time.perf_counter()
        values: dict[str, float] = metric.evaluate(len(samples))
        return time.perf_counter() - begin, values


def make_samples(ann_file: Path, num_images: int, num_detections: int) -> list[Sample]:
    """Write a random ground truth and return predictions near it."""
    rng = np.random.default_rng(0)
    samples, annotations = [], []
    for image_id in range(1, num_images + 1):
        corners = rng.uniform(0, SIZE_PX / 2, size=(NUM_BOXES, 2))
        boxes = np.hstack([corners, corners + rng.uniform(8, SIZE_PX / 2, size=(NUM_BOXES, 2))])
        labels = rng.integers(NUM_CLASSES, size=NUM_BOXES)
        for box, label in zip(boxes.tolist(), labels.tolist(), strict=True):
            width, height = box[2] - box[0], box[3] - box[1]
            annotation = {"id": len(annotations) + 1, "image_id": image_id, "category_id": label + 1, "iscrowd": 0}
            annotations.append(annotation | {"bbox": [*box[:2], width, height], "area": width * height})
        chosen = rng.integers(NUM_BOXES, size=num_detections)
        predicted = {
            "bboxes": torch.tensor(boxes[chosen] + rng.normal(0, 8, size=(num_detections, 4)), dtype=torch.float32),
            "labels": torch.tensor(np.where(rng.random(num_detections) < 0.8, labels[chosen], chosen)),
            "scores": torch.tensor(rng.random(num_detections), dtype=torch.float32),
        }
        samples.append({"img_id": image_id, "ori_shape": (SIZE_PX, SIZE_PX), "pred_instances": predicted})
    images = [{"id": sample["img_id"], "width": SIZE_PX, "height": SIZE_PX, "file_name": ""} for sample in samples]
    categories = [{"id": number + 1, "name": f"class {number}"} for number in range(NUM_CLASSES)]
    ann_file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return samples


if __name__ == "__main__":
    main()
