"""Lowers what a teacher and a student are fed with: labelled images and others beside them, in every batch."""

from __future__ import annotations

from typing import Any

from vision_research.config.addresses import absolute, join
from vision_research.config.dataset_tree import join as join_frame
from vision_research.config.lowering.pipelines import image_backend
from vision_research.config.lowering.storage import backend_args
from vision_research.config.schema import DataKind, TrainConfig
from vision_research.config.scoring import is_semi_supervised

VAL_LOOP = "TeacherStudentValLoop"


def join_sources(
    config: TrainConfig, frame: dict[str, Any], labelled: dict[str, Any], classes: tuple[str, ...]
) -> dict[str, Any]:
    """Put labelled and unlabelled images into a frame that has a place for each.

    Args:
        config: the run.
        frame: wrappers and pipelines of the training images.
        labelled: the data set of the labelled ones.
        classes: names, in the order of the labels.

    Returns:
        A concatenation of both, in this order.
    """
    data = config.data
    assert data.unlabelled_ann is not None, "validate() asks for it"
    root = absolute(data.root)
    unlabelled = {
        "type": "UnlabelledDataset",
        "data_root": root,
        "ann_file": data.unlabelled_ann,
        "data_prefix": {"img": data.img_prefix if data.unlabelled_prefix is None else data.unlabelled_prefix},
        "metainfo": {"classes": classes},
        "backend_args": backend_args(config.storage, join(root, data.unlabelled_ann)),
    }
    joined = join_frame(frame, [labelled, unlabelled])
    for step in joined["datasets"][1]["pipeline"]:
        if step["type"] == "LoadImageOrSkip":
            step["backend_args"] = image_backend(config, data.unlabelled_prefix)
    # Palettes are a data set's own, and nothing trains on them.
    return {**joined, "datasets": list(joined["datasets"]), "ignore_keys": ["palette", "dataset_type"]}


def source_sampler(config: TrainConfig) -> dict[str, Any]:
    """Return the sampler that composes batches of both.

    MMDetection's own never ends an epoch, and stands still for ever where one source has no image as oblong as another.
    """
    return {
        "type": "SourceRatioSampler",
        "batch_size": config.data.batch_size,
        "source_ratio": list(config.data.source_ratio),
        "infinite": config.schedule.max_iters is not None,
    }


def labelled_per_batch(config: TrainConfig) -> int:
    """Return how many images of a batch have annotations: an epoch has seen each of those once."""
    if not is_semi_supervised(config.model) or config.data.kind is DataKind.zoo:
        return config.data.batch_size
    return images_per_source(config.data.batch_size, config.data.source_ratio)[0]


def images_per_source(batch_size: int, source_ratio: list[int]) -> list[int]:
    """Part a batch as MMDetection does: rounded down, and the rest for the first source."""
    counts = [int(batch_size * share / sum(source_ratio)) for share in source_ratio]
    return [batch_size - sum(counts[1:]), *counts[1:]]


def validation_loop(model: dict[str, Any], loop: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the loop that validates a detector: a teacher and a student one after the other.

    Args:
        model: the `model` group.
        loop: as the schedule has it; None where it does not validate.
    """
    if loop is None or is_semi_supervised(model) == (loop.get("type") == VAL_LOOP):
        return loop
    return {**loop, "type": VAL_LOOP if is_semi_supervised(model) else "ValLoop"}
