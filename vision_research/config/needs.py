"""What a zoo file's augmentation needs of the data beyond images and boxes, and whether the data has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vision_research.config.dataset_tree import kind_of
from vision_research.config.lowering.language import DRAWING, reads_text
from vision_research.config.lowering.reid import REID_KINDS
from vision_research.config.lowering.tracks import VIDEO_KINDS, gives_tracks
from vision_research.config.recipe import has_masks
from vision_research.config.reid import reid_problems
from vision_research.config.schema import DataKind, TrainConfig
from vision_research.config.scoring import is_panoptic

TRACKS = "videos with tracks"
MAPS = "panoptic annotations"
CROPS = "crops of persons with identities"
# Transforms that read what our kinds of data sets do not have.
NEEDS = {
    "LoadPanopticAnnotations": MAPS,
    "LoadTrackAnnotations": TRACKS,
    "UniformRefFrameSample": TRACKS,
    "TransformBroadcaster": TRACKS,
    "PackTrackInputs": TRACKS,
    "PackReIDInputs": CROPS,
}
# Trackers whose `loss` MMDetection refuses.
PUT_TOGETHER = ("DeepSORT", "StrongSORT")


def unmet_needs(config: TrainConfig) -> Iterator[str]:
    """Name the steps of `aug=zoo/...` that need what no data set of ours has, each with what to type."""
    if config.data.kind is DataKind.zoo:
        return
    yield from _unmet_by_the_model(config)
    yield from _unmet_by_the_training(config)
    yield from reid_problems(config)
    if config.aug.recipe is None:
        return
    zoo = config.aug.recipe["zoo"]
    for path, step in steps(config.aug.recipe.get("train"), "aug.recipe.train"):
        if kind_of(step) == DRAWING and not reads_text(config.model):
            yield (
                f"{path}.type={step['type']}: draws names of classes for a detector that reads them, and "
                f"model={config.model['type']} reads none. Type another aug=OPTION, or model=zoo/{zoo}"
            )
            return
        need = NEEDS.get(kind_of(step))
        if need == TRACKS and config.data.kind in VIDEO_KINDS:
            continue
        # What follows a video step by step draws several crops as well.
        if need in (TRACKS, CROPS) and config.data.kind in REID_KINDS:
            continue
        if config.data.train_panoptic is not None and (need == MAPS or step.get("with_seg")):
            continue
        if need is None and step.get("with_seg"):
            need = "a map of classes for every pixel"
        if need is not None:
            yield (
                f"{path}.type={step['type']}: aug=zoo/{zoo} needs {need}, and data={config.data.kind.value} has none. "
                f"Type another aug=OPTION, or data=zoo/{zoo} for the file's own data"
            )
            return


def _unmet_by_the_model(config: TrainConfig) -> Iterator[str]:
    if config.data.train_panoptic is not None:
        return
    for path in ("model.semantic_head", "model.roi_head.semantic_head"):
        node: Any = config.model
        for key in path.split(".")[1:]:
            node = node.get(key) if isinstance(node, dict) else None
        if node is not None and path == "model.semantic_head":
            yield (
                f"{path}: model={config.model['type']} needs a map of classes for every pixel, and "
                f"data={config.data.kind.value} has none. Type data=digits_panoptic, or "
                "data.train_panoptic=FILE.json data.val_panoptic=FILE.json"
            )
        elif node is not None:
            yield (
                f"{path}: needs a map of classes for every pixel, and data={config.data.kind.value} has none. Type "
                "model.roi_head.semantic_head=null model.roi_head.semantic_roi_extractor=null to train without, or "
                "data.train_panoptic=FILE.json data.val_panoptic=FILE.json"
            )


def _unmet_by_the_training(config: TrainConfig) -> Iterator[str]:
    """Name detectors that are fed in another way than with images and their boxes."""
    model = config.model
    kind, zoo = model.get("type"), (model.get("recipe") or {}).get("zoo")
    if kind in PUT_TOGETHER:
        yield (
            f"model={kind}: is put together of a detector and a re-identification that were trained before, and has no "
            "training of its own. Type a tracker that has one: experiment=bytetrack, or experiment=qdtrack"
        )
    elif _takes_videos(model) and not gives_tracks((config.aug.recipe or {}).get("val") or {}):
        yield (
            f"model={kind}: follows objects through videos, and the pipelines of this aug give it single images. "
            f"Type aug=zoo/{zoo} data=digits_video, or data={'youtube_vis' if has_masks(model) else 'mot'}"
        )
    elif _takes_videos(model) and not has_masks(model) and config.data.kind is DataKind.youtube_vis:
        yield (
            f"model={kind}: is scored by MOTChallenge's metrics, and data=youtube_vis has no visibility of its "
            "objects. Type data=digits_video, or data=mot, or a tracker of masks: experiment=masktrack_rcnn"
        )


def _takes_videos(model: dict[str, Any]) -> bool:
    return (model.get("data_preprocessor") or {}).get("type") == "TrackDataPreprocessor"


def unmet_masks(config: TrainConfig, masks: str) -> Iterator[str]:
    """Name what reads masks where the annotations have none.

    Args:
        config: the run.
        masks: how the training annotations have masks: `polygons`, `rle` or `none`.
    """
    if masks != "none" or config.data.kind is DataKind.zoo:
        return
    remedy = f"data.train_ann={config.data.train_ann} has no segmentation for every object"
    if has_masks(config.model):
        other = "one of boxes: model=rtmdet_tiny"
        if _takes_videos(config.model):
            other = "data=digits_video, data=youtube_vis, or a tracker of boxes: experiment=qdtrack"
        yield f"model={config.model['type']}: is trained on masks, and {remedy}. Type {other}"
    for path, step in steps((config.aug.recipe or {}).get("train"), "aug.recipe.train"):
        if step.get("with_mask"):
            yield f"{path}.with_mask=true: {remedy}. Type {path}.with_mask=false, or another aug=OPTION"
            return


def unscored_masks(config: TrainConfig, masks: str) -> Iterator[str]:
    """Name a detector whose masks cannot be scored, since the validation annotations have none.

    Args:
        config: the run.
        masks: how the validation annotations have masks: `polygons`, `rle` or `none`.
    """
    if masks == "none" and has_masks(config.model) and config.data.kind is not DataKind.zoo:
        if config.data.val_panoptic is not None and is_panoptic(config.model):
            return
        yield (
            f"model={config.model['type']}: is scored on masks, and data.val_ann={config.data.val_ann} has no "
            "segmentation for every object. Type data.val_ann=FILE.json with masks, or one of boxes: model=rtmdet_tiny"
        )


def steps(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every dict with a `type` under a key, with the key as it is typed."""
    return ((place, inner) for place, inner in nodes(node, path) if isinstance(inner.get("type"), str))


def nodes(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every dict under a key, with the key as it is typed."""
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from nodes(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from nodes(value, f"{path}.{index}")
