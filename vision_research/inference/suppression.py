"""Changes the NMS IoU of a loaded detector, for a search over NMS IoUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vision_research.config.errors import ConfigError
from vision_research.deploy.errors import ExportError
from vision_research.inference.predictors import ArtifactPredictor, CheckpointPredictor


def nms_setter(predictor: CheckpointPredictor | ArtifactPredictor) -> Callable[[float], None]:
    """Return a function that sets the NMS IoU of a detector.

    Args:
        predictor: a checkpoint, or an exported model whose module can be changed (TorchScript).

    Raises:
        ConfigError: the detector has no NMS, or its IoU is fixed in the file.
    """
    if isinstance(predictor, CheckpointPredictor):
        return _of_checkpoint(predictor.detector)
    return _of_module(predictor)


def _of_checkpoint(detector: Any) -> Callable[[float], None]:
    from vision_research.deploy.families.registry import find_family

    try:
        nms = find_family(detector).test_cfg(detector).get("nms")
    except ExportError:
        nms = None
    if nms is None:
        raise ConfigError(
            f"threshold.nms_iou: {type(detector).__name__} has no NMS that is known here. Leave threshold.nms_iou out"
        )
    key = "iou_thr" if "iou_thr" in nms else "iou_threshold"
    return lambda value: nms.__setitem__(key, value)


def _of_module(predictor: ArtifactPredictor) -> Callable[[float], None]:
    module = getattr(predictor.artifact.runner, "module", None)
    postprocess = getattr(getattr(module, "detector", module), "postprocess", None)
    named = [] if postprocess is None else list(postprocess.named_modules())
    found = sorted((path.count("."), path, module) for path, module in named if hasattr(module, "iou_threshold"))
    # The last NMS of the detector is the outermost one; those of proposals are nested deeper.
    outermost = [module for depth, _, module in found if depth == found[0][0]]
    if len(outermost) != 1:
        raise ConfigError(
            f"threshold.nms_iou: the NMS of {predictor.name} is built in. Search it through the checkpoint: leave "
            "artifact out"
        )
    return lambda value: setattr(outermost[0], "iou_threshold", value)
