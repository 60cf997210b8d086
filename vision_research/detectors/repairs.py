"""Repairs of heads that fail in MMDetection 3.3, in built detectors. Imports MMDetection, unlike `build`.

Boxes outside of the image: QueryInst's boxes are not clipped (`clip_border=False`), and early in a training some are
completely outside. On a GPU MMDetection pastes every mask into the whole image, so the mask of such a box is empty. On
a CPU it pastes into the window of the box, which has a negative size here and raises an error
(mmdet/models/roi_heads/mask_heads/fcn_mask_head.py, `_do_paste_mask`).

Few objects: MMDetection's `MultiInstanceAssigner` (CrowdDet) takes the best two objects of every proposal. For an
image with a single object it takes one, but reads the list as if there were two: it mixes up proposals, or fails if the
length is odd.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmdet.models.roi_heads import MultiInstanceRoIHead
from mmdet.models.roi_heads.mask_heads import DynamicMaskHead
from mmengine.structures import InstanceData
from torch import Tensor

# xyxy in pixels. Proposals are larger, so it matches none; its size is not 0, so that it can be encoded.
CORNER = (0.0, 0.0, 1.0, 1.0)
# MMDetection's label of a region that is neither an object nor background.
IGNORED = -1


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


class FewObjectsRoIHead(MultiInstanceRoIHead):
    """CrowdDet's RoI head, which adds ignored boxes to images with too few objects."""

    def loss(self, x: Any, rpn_results_list: Any, batch_data_samples: Any) -> dict[str, Any]:
        """Return the losses of a batch, as `MultiInstanceRoIHead.loss`.

        Args:
            x: features of the batch.
            rpn_results_list: proposals of each image.
            batch_data_samples: annotations of each image.
        """
        num_needed = self.bbox_assigner.num_instance
        samples = [_filled(sample, num_needed) for sample in batch_data_samples]
        losses: dict[str, Any] = super().loss(x, rpn_results_list, samples)
        return losses


def _filled(sample: Any, num_needed: int) -> Any:
    lacking = num_needed - len(sample.gt_instances) - len(sample.ignored_instances)
    if lacking <= 0:
        return sample
    boxes, labels = sample.gt_instances.bboxes, sample.gt_instances.labels
    corner = InstanceData(bboxes=boxes.new_tensor([CORNER] * lacking), labels=labels.new_full((lacking,), IGNORED))
    filled = sample.clone()
    filled.ignored_instances = InstanceData.cat([sample.ignored_instances, corner])
    return filled


def repair(detector: Any) -> None:
    """Repair the heads of a built detector, in place."""
    for head in detector.modules():
        if type(head) is DynamicMaskHead:
            head.__class__ = ClippedMaskHead
    if type(head := getattr(detector, "roi_head", None)) is MultiInstanceRoIHead:
        head.__class__ = FewObjectsRoIHead
    # BaseDenseHead reads it while it predicts, and SSDHead has none.
    head = getattr(detector, "bbox_head", None)
    if head is not None and not hasattr(head, "loss_cls"):
        head.loss_cls = None
