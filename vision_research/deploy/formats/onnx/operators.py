"""Translates the operators of `ops/native.py` to ONNX's NonMaxSuppression and RoiAlign."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from vision_research.ops import native  # noqa: F401  registers the operators

# RoiAlign has half_pixel from opset 16 on.
OPSET = 18
_INT64 = 7


def translations() -> dict[Any, Callable[..., Any]]:
    """For each operator, the function that writes its ONNX nodes."""
    import onnxscript

    # Its type hints ask for tensors where constants are passed as well.
    op: Any = onnxscript.opset18

    def nms(boxes: Any, scores: Any, iou_threshold: float, score_threshold: float, limit: int) -> Any:
        selected = op.NonMaxSuppression(
            op.Unsqueeze(boxes, [0]),
            op.Unsqueeze(scores, [0, 1]),
            op.Constant(value_ints=[limit]),
            op.Constant(value_floats=[iou_threshold]),
            op.Constant(value_floats=[score_threshold]),
        )
        # Rows are (batch, class, box).
        return op.Squeeze(op.Slice(selected, [2], [3], [1]), [1])

    def roi_align(
        feature: Any, rois: Any, rows: int, columns: int, spatial_scale: float, sampling_ratio: int, aligned: bool
    ) -> Any:
        first = op.Squeeze(op.Slice(rois, [0], [1], [1]), [1])
        return op.RoiAlign(
            feature,
            rois,
            op.Cast(op.Mul(first, 0.0), to=_INT64),
            coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
            mode="avg",
            output_height=rows,
            output_width=columns,
            sampling_ratio=max(sampling_ratio, 0),
            spatial_scale=spatial_scale,
        )

    operators = torch.ops.vision_research
    return {operators.nms.default: nms, operators.roi_align.default: roi_align}
