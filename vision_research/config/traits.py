"""The properties of a detector that other parts of a run depend on: masks, tracking, text input, ...

They are computed once from the detector's config; no other module tells kinds of detectors apart by that config.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vision_research.config.schema import SPLITS, TrainConfig
from vision_research.config.tree import dicts, kinds


@dataclass(frozen=True)
class DetectorTraits:
    """Properties of a detector that data, augmentation, schedule and evaluation depend on.

    Attributes:
        has_masks: it is trained on masks beside boxes. Only a `model` group tells (`recipe.with_mask`); a lowered
            config gives False.
        is_panoptic: it assigns every pixel to a thing or to stuff.
        learns_from_maps: it is trained on a class for every pixel: panoptic detectors and those with a semantic branch.
        is_tracker: it takes videos and tracks objects.
        video_splits: the splits whose pipelines pack videos with tracks. A tracker may be trained on single images
            (ByteTrack) and validated on videos.
        takes_proposals: it classifies given boxes (Fast R-CNN).
        is_class_agnostic: it detects objects without a class (an RPN).
        is_reid: it is a re-identification model: it compares crops of objects and detects nothing.
        is_semi_supervised: it is a teacher and a student that also learn from images without annotations.
        predicts_on: which of the two predicts, `teacher` or `student`; empty for any other detector.
        reads_text: the names of the classes are an input of it (GLIP, GroundingDINO).
    """

    has_masks: bool = False
    is_panoptic: bool = False
    learns_from_maps: bool = False
    is_tracker: bool = False
    video_splits: frozenset[str] = frozenset()
    takes_proposals: bool = False
    is_class_agnostic: bool = False
    is_reid: bool = False
    is_semi_supervised: bool = False
    predicts_on: str = ""
    reads_text: bool = False

    @classmethod
    def of(cls, model: Mapping[str, Any], pipelines: Mapping[str, Any] | None = None) -> DetectorTraits:
        """Read the traits of a detector.

        Args:
            model: the `model` group, or the `model` of an MMEngine config.
            pipelines: the pipelines of a zoo file by split (`aug.recipe`), or None. Other pipelines never pack videos.
        """
        is_panoptic = "panoptic_fusion_head" in model and any(node.get("num_stuff_classes") for _, node in dicts(model))
        branch = (model.get("roi_head") or {}).get("semantic_head") or model.get("semantic_head")
        is_semi_supervised, branches = "semi_train_cfg" in model, model.get("semi_test_cfg") or {}
        return cls(
            has_masks=bool((model.get("recipe") or {}).get("with_mask")),
            is_panoptic=is_panoptic,
            learns_from_maps=is_panoptic or branch is not None,
            is_tracker=(model.get("data_preprocessor") or {}).get("type") == "TrackDataPreprocessor",
            video_splits=frozenset(
                split for split in SPLITS if "PackTrackInputs" in kinds((pipelines or {}).get(split))
            ),
            takes_proposals=model.get("type") == "FastRCNN",
            is_class_agnostic=model.get("type") == "RPN",
            is_reid=model.get("type") == "BaseReID",
            is_semi_supervised=is_semi_supervised,
            predicts_on=branches.get("predict_on", "teacher") if is_semi_supervised else "",
            reads_text=isinstance(model.get("language_model"), dict),
        )


def traits_of(config: TrainConfig) -> DetectorTraits:
    """Read the traits of the detector of a run, with the pipelines of the run."""
    return DetectorTraits.of(config.model, config.aug.recipe)
