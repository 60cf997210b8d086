"""Checks what a backbone of another library gives to an FPN: maps of the channels and strides that the detector is for.

Other channels fail in the first iteration only; with other strides anchors lie beside the objects, and nobody sees why
nothing is learned.
"""

from __future__ import annotations

from typing import Any

from vision_research.config.needs import nodes

# Of the image that is looked at: 4 cells are left at stride 32.
SIDE_PX = 128


def stage_problems(detector: Any, model: dict[str, Any]) -> list[str]:
    """Name what does not fit.

    Args:
        detector: as it was built.
        model: of the lowered config.
    """
    own, neck = model.get("backbone") or {}, model.get("neck")
    if "." not in str(own.get("type", "")) or not isinstance(neck, dict) or neck.get("type") != "FPN":
        return []
    stages = _looked_at(detector.backbone)
    if any(stage.dim() != 4 for stage in stages):
        return [
            f"model.backbone.type={own['type']}: gives vectors where a detector needs maps. Type the word that keeps "
            "it from pooling: ConvNeXt's is +model.backbone.gap_before_final_norm=false"
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


def _looked_at(backbone: Any) -> list[Any]:
    """Return what a backbone gives of a black image; nothing where it takes another size."""
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
    """Return the strides of the anchors or points of the first head that has any."""
    heads = (model.get(name) or {} for name in ("rpn_head", "bbox_head"))
    found = (node["strides"] for head in heads for _, node in nodes(head, "") if node.get("strides"))
    return [stride for stride in next(found, ()) if isinstance(stride, int)]
