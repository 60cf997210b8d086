"""Lets QueryInst predict masks on a CPU where boxes are outside of the image.

QueryInst's boxes are not clipped (`clip_border=False`), and early in a training some are completely outside. On a GPU
MMDetection pastes every mask into the whole image, so the mask of such a box is empty. On a CPU it pastes into the
window of the box, which has a negative size here and raises an error
(mmdet/models/roi_heads/mask_heads/fcn_mask_head.py, `_do_paste_mask`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmdet.models.roi_heads.mask_heads import DynamicMaskHead
from torch import Tensor


class ClippedMaskHead(DynamicMaskHead):
    """QueryInst's mask head, whose masks for boxes outside of the image are empty, as on a GPU."""

    def _predict_by_feat_single(
        self,
        mask_preds: Tensor,
        bboxes: Tensor,
        labels: Tensor,
        img_meta: Mapping[str, Any],
        rcnn_test_cfg: Any,
        rescale: bool = False,
        activate_map: bool = False,
    ) -> Tensor:
        words = {"rcnn_test_cfg": rcnn_test_cfg, "rescale": rescale, "activate_map": activate_map}
        if bboxes.device.type != "cpu":
            pasted: Tensor = super()._predict_by_feat_single(mask_preds, bboxes, labels, img_meta, **words)
            return pasted
        across, down = img_meta["scale_factor"][:2]
        height, width = img_meta["ori_shape"][:2]
        if rescale:
            # In place, as the parent class does: the caller returns these boxes.
            bboxes /= bboxes.new_tensor([across, down, across, down])
            img_meta = {**img_meta, "scale_factor": (1.0, 1.0)}
        else:
            height, width = round(height * down), round(width * across)
        inside = (bboxes[:, 2:] > 0).all(1) & (bboxes[:, :2] < bboxes.new_tensor([width, height])).all(1)
        dtype = torch.bool if rcnn_test_cfg.mask_thr_binary >= 0 else torch.uint8
        masks = torch.zeros((len(bboxes), height, width), dtype=dtype)
        if inside.any():
            masks[inside] = super()._predict_by_feat_single(
                mask_preds[inside], bboxes[inside], labels[inside], img_meta, **words
            )
        return masks


def repair(detector: Any) -> None:
    """Convert QueryInst's mask heads in a built detector to `ClippedMaskHead`s, in place."""
    for head in detector.modules():
        if type(head) is DynamicMaskHead:
            head.__class__ = ClippedMaskHead
