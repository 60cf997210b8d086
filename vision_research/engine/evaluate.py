"""Runs detectors over a data set side by side, and scores each with the same metric."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any

from vision_research.config.errors import ConfigError
from vision_research.deploy.detections import Detections
from vision_research.engine.console import quiet_platform
from vision_research.engine.predictors import Image, Predictor
from vision_research.engine.progress_bar import Count

# Images that are decoded ahead; OpenCV lets go of the interpreter meanwhile.
_AHEAD = 4
# The first calls of a run pay for what is made once: threads, buffers, compiled graphs.
_WARM_UP = 2


@dataclass(frozen=True)
class Evaluated:
    """What one detector did.

    Attributes:
        name: of the detector.
        scores: metric values by name.
        latency_s: median seconds an image, from the decoded image to the boxes.
        found: the detections of each image, in the order of the data set.
    """

    name: str
    scores: dict[str, float]
    latency_s: float
    found: list[Detections]


def build_dataset(dataset: dict[str, Any], classes: Sequence[str]) -> Any:
    """Build an MMDetection data set that gives annotations and loads no image.

    Raises:
        ConfigError: it holds no image.
    """
    from mmdet.registry import DATASETS

    metainfo = {**(dataset.get("metainfo") or {}), "classes": tuple(classes)}
    with quiet_platform():
        built = DATASETS.build({**dataset, "metainfo": metainfo, "test_mode": True, "pipeline": []})
    if len(built) == 0:
        raise ConfigError(f"{dataset.get('ann_file')}: no image is in it to evaluate on")
    return built


def evaluate(
    predictors: Sequence[Predictor], dataset: Any, metric: dict[str, Any], load: Callable[..., Any], count: Count
) -> list[Evaluated]:
    """Evaluate detectors on the same images, one after the other on each, so that their latencies compare.

    Args:
        predictors: of the same classes as the data set.
        dataset: as `build_dataset` makes it.
        metric: config of the metric.
        load: transform that loads an image.
        count: is advanced by every image.
    """
    with quiet_platform():
        metrics = [_build_metric(metric, dataset) for _ in predictors]
    seconds: list[list[float]] = [[] for _ in predictors]
    found: list[list[Detections]] = [[] for _ in predictors]
    for info, image in loaded(dataset, load):
        for index, predictor in enumerate(predictors):
            started = time.perf_counter()
            detections = predictor.predict([image])[0]
            seconds[index].append(time.perf_counter() - started)
            metrics[index].process({}, [_sample(info, image, detections)])
            found[index].append(detections)
        count.advance()
    with quiet_platform():
        scores = [_score(scored, len(dataset)) for scored in metrics]
    return [
        Evaluated(predictor.name, values, typical_s(taken), kept)
        for predictor, values, taken, kept in zip(predictors, scores, seconds, found, strict=True)
    ]


def loaded(dataset: Any, load: Callable[..., Any]) -> Iterator[tuple[dict[str, Any], Image]]:
    """Yield each image with what the data set knows of it, decoding a few ahead."""

    def read(index: int) -> tuple[dict[str, Any], Image]:
        info = dataset.get_data_info(index)
        return info, load(dict(info))["img"]

    indices = iter(range(len(dataset)))
    with ThreadPoolExecutor(_AHEAD) as pool:
        waiting = [pool.submit(read, index) for index in islice(indices, _AHEAD)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(read, index) for index in islice(indices, 1)]


def typical_s(seconds: Sequence[float]) -> float:
    """Return the median of what calls took, without the first ones."""
    return median(seconds[_WARM_UP:] or seconds)


def _build_metric(metric: dict[str, Any], dataset: Any) -> Any:
    from mmdet.registry import METRICS

    built = METRICS.build({**metric, "collect_device": "cpu"})
    built.dataset_meta = dataset.metainfo
    return built


def _sample(info: dict[str, Any], image: Image, found: Detections) -> dict[str, Any]:
    instances = {"bboxes": found.boxes, "scores": found.scores, "labels": found.labels}
    if found.masks is not None:
        instances["masks"] = found.masks
    where = {"img_id": info["img_id"], "ori_shape": image.shape[:2], "instances": info.get("instances", [])}
    return {**where, "pred_instances": instances}


def _score(metric: Any, size: int) -> dict[str, float]:
    return {str(name): float(value) for name, value in metric.evaluate(size).items()}
