"""Runs several detectors on the same data set, and scores each with the same metric."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from vision_research.config.errors import ConfigError
from vision_research.console.progress_bar import Count
from vision_research.console.quiet import quiet_platform
from vision_research.deploy.artifact.detections import Detections
from vision_research.inference.image_source import read_ahead
from vision_research.inference.predictors import Image, Predictor

# The first calls take longer, because threads, buffers and compiled graphs are made then.
_NUM_WARM_UP = 2


@dataclass(frozen=True)
class Images:
    """The images of a split.

    Attributes:
        dataset: an MMDetection data set with annotations, from `build_dataset`.
        load: transform that loads an image.
    """

    dataset: Any
    load: Callable[..., Any]

    def read(self) -> Iterator[tuple[dict[str, Any], Image]]:
        """Yield the information of the data set on each image, and the image, (H, W, 3) uint8 BGR."""

        def one(index: int) -> tuple[dict[str, Any], Image]:
            info = self.dataset.get_data_info(index)
            return info, self.load(dict(info))["img"]

        return read_ahead(one, range(len(self.dataset)))


@dataclass(frozen=True)
class Evaluated:
    """The scores, the latency and the detections of one detector.

    Attributes:
        name: name of the detector.
        scores: metric values by name.
        latency_s: median time for an image, seconds, from the decoded image to the boxes.
        found: the detections of each image, in the order of the data set.
    """

    name: str
    scores: dict[str, float]
    latency_s: float
    found: list[Detections]


def build_dataset(dataset: dict[str, Any], classes: Sequence[str]) -> Any:
    """Build an MMDetection data set that returns annotations and loads no images.

    Args:
        dataset: its config.
        classes: names, in the order of the labels.

    Raises:
        ConfigError: it has no image.
    """
    from mmdet.registry import DATASETS

    metainfo = {**(dataset.get("metainfo") or {}), "classes": tuple(classes)}
    with quiet_platform():
        built = DATASETS.build({**dataset, "metainfo": metainfo, "test_mode": True, "pipeline": []})
    if len(built) == 0:
        raise ConfigError(f"{dataset.get('ann_file')}: no image is in it to evaluate on")
    return built


def dataset_digest(dataset: Any) -> str:
    """Return 16 hexadecimal digits of the images' names and annotations; scores are compared where these are equal."""
    digest = hashlib.sha256()
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        boxes = [[item["bbox_label"], *map(float, item["bbox"])] for item in info["instances"]]
        digest.update(json.dumps([Path(info["img_path"]).name, boxes]).encode())
    return digest.hexdigest()[:16]


def evaluate(predictors: Sequence[Predictor], images: Images, metric: dict[str, Any], count: Count) -> list[Evaluated]:
    """Evaluate detectors on the same images; all run on an image before the next one, so that latencies compare.

    Args:
        predictors: detectors with the classes of the data set.
        images: of the split.
        metric: config of the metric.
        count: is advanced by every image.
    """
    from mmdet.registry import METRICS

    with quiet_platform():
        metrics = [METRICS.build({**metric, "collect_device": "cpu"}) for _ in predictors]
    for one in metrics:
        one.dataset_meta = images.dataset.metainfo
    seconds: list[list[float]] = [[] for _ in predictors]
    found: list[list[Detections]] = [[] for _ in predictors]
    for info, image in images.read():
        for index, predictor in enumerate(predictors):
            started = time.perf_counter()
            detections = predictor.predict([image])[0]
            seconds[index].append(time.perf_counter() - started)
            metrics[index].process({}, [_sample(info, image, detections)])
            found[index].append(detections)
        count.advance()
    with quiet_platform():
        evaluated = [one.evaluate(len(images.dataset)) for one in metrics]
    scores = [{str(name): float(value) for name, value in values.items()} for values in evaluated]
    return [
        Evaluated(predictor.name, values, median_latency_s(taken), kept)
        for predictor, values, taken, kept in zip(predictors, scores, seconds, found, strict=True)
    ]


def median_latency_s(seconds: Sequence[float]) -> float:
    """Return the median duration of calls, without the first ones."""
    return median(seconds[_NUM_WARM_UP:] or seconds)


def _sample(info: dict[str, Any], image: Image, found: Detections) -> dict[str, Any]:
    instances = {"bboxes": found.boxes, "scores": found.scores, "labels": found.labels}
    if found.masks is not None:
        instances["masks"] = found.masks
    where = {"img_id": info["img_id"], "ori_shape": image.shape[:2], "instances": info.get("instances", [])}
    return {**where, "pred_instances": instances}


_PREFIX = "coco/"
_COLUMNS = {"mAP": "bbox_mAP", "mAP50": "bbox_mAP_50", "mAP75": "bbox_mAP_75", "mask mAP": "segm_mAP"}
_CLASS_SUFFIX = "_precision"


def metric_values(result: Evaluated, classes: Sequence[str], prefix: str) -> dict[str, float]:
    """Return the scores of one detector by the names under which they are recorded.

    Args:
        result: its evaluation.
        classes: names, in the order of the labels.
        prefix: first part of the names.

    Returns:
        Scores by name, without those that are undefined (NaN), and the latency in milliseconds.
    """
    plain = {name.removeprefix(_PREFIX): value for name, value in result.scores.items()}
    classwise = {f"AP/{name}": plain.pop(f"{name}{_CLASS_SUFFIX}", math.nan) for name in classes}
    values = {**plain, **classwise, "latency_ms": 1000 * result.latency_s}
    return {f"{prefix}/{name}": value for name, value in values.items() if not math.isnan(value)}


def print_scores(results: Sequence[Evaluated], classes: Sequence[str], title: str) -> None:
    """Print a table of the detectors, and one of the AP of each class.

    Args:
        results: one for each detector.
        classes: names, in the order of the labels.
        title: text above the tables.
    """
    present = {name: key for name, key in _COLUMNS.items() if any(_PREFIX + key in result.scores for result in results)}
    table = Table("", *present, "ms an image", box=None)
    for result in results:
        values = [_score(result, key) for key in present.values()]
        table.add_row(result.name, *values, f"{1000 * result.latency_s:.1f}")
    by_class = Table("AP", *(result.name for result in results), box=None)
    for name in classes:
        by_class.add_row(name, *(_score(result, f"{name}{_CLASS_SUFFIX}") for result in results))
    print_tables(title, table, by_class)


def print_tables(title: str, *tables: Table) -> None:
    """Print tables with a text above them."""
    console = Console(highlight=False, markup=False)
    console.print(f"\n{title}", soft_wrap=True)
    for table in tables:
        console.print(table)


def _score(result: Evaluated, key: str) -> str:
    value = result.scores.get(_PREFIX + key, math.nan)
    return "-" if math.isnan(value) else f"{value:.4f}"
