"""Builds MMDetection's detectors, repairs heads that fail, and finds the part of a detector that predicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def build_detector(model: Mapping[str, Any]) -> Any:
    """Build the detector of a config, in eval mode on the CPU, without trained weights."""
    from mmdet.registry import MODELS

    # init_weights() would download pretrained weights, which the checkpoint replaces.
    return repaired(MODELS.build(model)).eval()


def repaired(detector: Any) -> Any:
    """Repair the heads of a built detector that fail in MMDetection 3.3, in place, and return the detector."""
    # Imported here since the repairs import MMDetection, which commands must not at their start.
    from vision_research.detectors.repairs import repair

    repair(detector)
    return detector


def predicting_part(detector: Any) -> Any:
    """Return the detector itself, or of a teacher and student the one that `semi_test_cfg.predict_on` names."""
    if getattr(detector, "semi_test_cfg", None) is None:
        return detector
    part = repaired(getattr(detector, detector.semi_test_cfg.get("predict_on", "teacher")))
    # The preprocessor of the pair takes batches of several branches; the part alone needs the inner one.
    part.data_preprocessor = detector.data_preprocessor.data_preprocessor
    return part
