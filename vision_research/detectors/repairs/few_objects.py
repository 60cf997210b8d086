"""Lets CrowdDet train on images with fewer objects than it predicts for each proposal.

MMDetection's `MultiInstanceAssigner` takes the best two objects of every proposal. For an image with a single object it
takes one, but reads the list as if there were two: it mixes up proposals, or fails if the length is odd.
"""

from __future__ import annotations

from typing import Any

from mmdet.models.roi_heads import MultiInstanceRoIHead
from mmengine.structures import InstanceData

# xyxy in pixels. Proposals are larger, so it matches none; its size is not 0, so that it can be encoded.
CORNER = (0.0, 0.0, 1.0, 1.0)
# MMDetection's label of a region that is neither an object nor background.
IGNORED = -1


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
    """Let the RoI head of a built CrowdDet accept images with one object."""
    if type(head := getattr(detector, "roi_head", None)) is MultiInstanceRoIHead:
        head.__class__ = FewObjectsRoIHead
