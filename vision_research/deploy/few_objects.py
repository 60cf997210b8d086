"""Images with fewer objects than CrowdDet has predictions for each proposal.

MMDetection takes the best two objects of every proposal (`MultiInstanceAssigner`): of a single one it takes one, and
then reads the list of all as if there were two of each, or fails where that does not come out even.
"""

from __future__ import annotations

from typing import Any

from mmdet.models.roi_heads import MultiInstanceRoIHead
from mmengine.structures import InstanceData

# xyxy in pixels. No proposal is as small, so that none is ignored for it; and it has a size to be encoded by.
CORNER = (0.0, 0.0, 1.0, 1.0)
# MMDetection's label of a region that neither is an object nor teaches that there is none.
IGNORED = -1


class FewObjectsRoIHead(MultiInstanceRoIHead):
    """CrowdDet's RoI head; what an image lacks of objects is background to it."""

    def loss(self, x: Any, rpn_results_list: Any, batch_data_samples: Any) -> dict[str, Any]:
        """Return the losses of a batch."""
        wanted = self.bbox_assigner.num_instance
        samples = [_filled(sample, wanted) for sample in batch_data_samples]
        losses: dict[str, Any] = super().loss(x, rpn_results_list, samples)
        return losses


def _filled(sample: Any, wanted: int) -> Any:
    lacking = wanted - len(sample.gt_instances) - len(sample.ignored_instances)
    if lacking <= 0:
        return sample
    boxes, labels = sample.gt_instances.bboxes, sample.gt_instances.labels
    corner = InstanceData(bboxes=boxes.new_tensor([CORNER] * lacking), labels=labels.new_full((lacking,), IGNORED))
    filled = sample.clone()
    filled.ignored_instances = InstanceData.cat([sample.ignored_instances, corner])
    return filled


def make_frugal(detector: Any) -> None:
    """Let the RoI head of a built CrowdDet take images with one object."""
    if type(head := getattr(detector, "roi_head", None)) is MultiInstanceRoIHead:
        head.__class__ = FewObjectsRoIHead
