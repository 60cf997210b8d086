"""Checks that the feature maps of another library's backbone have the channels and strides that the detector expects.

Wrong channels would fail only in the first iteration; wrong strides misplace anchors, so that nothing is learned.
"""

from __future__ import annotations

from typing import Any

from vision_research.config.tree import dicts

# Side of the test image: 4 cells are left at stride 32.
SIDE_PX = 128


def stage_problems(detector: Any, model: dict[str, Any]) -> list[str]:
    """Name the mismatches between backbone, neck and head.

    Args:
        detector: as MMDetection built it.
        model: of the lowered config.
    """
    own, neck = model.get("backbone") or {}, model.get("neck")
    if "." not in str(own.get("type", "")) or not isinstance(neck, dict) or neck.get("type") != "FPN":
        return []
    stages = _feature_maps(detector.backbone)
    if any(stage.dim() != 4 for stage in stages):
        return [
            f"model.backbone.type={own['type']}: gives vectors where a detector needs maps. Type the argument "
            "that disables its pooling: ConvNeXt's is +model.backbone.gap_before_final_norm=false"
        ]
    if not stages:
        return []
    channels, strides = [stage.shape[1] for stage in stages], [SIDE_PX // stage.shape[3] for stage in stages]
    given = f"the backbone's stages have {channels} channels at strides {strides}"
    first, wanted = neck.get("start_level", 0), _strides(model)
    if wanted and first < len(strides) and strides[first] != wanted[0]:
        return [
            f"model.backbone.out_indices={list(own.get('out_indices') or [])}: {given}, and the head is made for "
            f"strides {wanted}. Type the stages that begin at stride {wanted[0] >> first}, for timm's ResNets "
            "model.backbone.out_indices=[1,2,3,4]: timm counts the stem"
        ]
    if list(neck["in_channels"]) != channels:
        typed = ",".join(map(str, channels))
        return [f"model.neck.in_channels={list(neck['in_channels'])}: {given}. Type model.neck.in_channels=[{typed}]"]
    return []


def _feature_maps(backbone: Any) -> list[Any]:
    """Return the output of a backbone for a black image; empty where it refuses the size of the image."""
    import torch

    was_training = backbone.training
    backbone.eval()
    try:
        with torch.no_grad():
            given = backbone(torch.zeros(1, 3, SIDE_PX, SIDE_PX))
    except (AssertionError, RuntimeError, ValueError):
        return []
    finally:
        backbone.train(was_training)
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _strides(model: dict[str, Any]) -> list[int]:
    """Return the strides of the anchors or points of the first head with strides."""
    heads = (model.get(name) or {} for name in ("rpn_head", "bbox_head"))
    found = (node["strides"] for head in heads for _, node in dicts(head) if node.get("strides"))
    return [stride for stride in next(found, ()) if isinstance(stride, int)]
