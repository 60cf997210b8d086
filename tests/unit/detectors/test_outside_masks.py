"""QueryInst's masks of boxes outside of the image, against MMDetection's own pasting on the whole image."""

from __future__ import annotations

import pytest
import torch
from mmdet.models.roi_heads.mask_heads import fcn_mask_head
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from torch import nn

from vision_research.detectors.build import repaired
from vision_research.inference.predictors import register_everything

HEAD = {
    "type": "DynamicMaskHead",
    "num_convs": 1,
    "num_classes": 1,
    "in_channels": 4,
    "conv_out_channels": 4,
    "class_agnostic": False,
    "dynamic_conv_cfg": {"type": "DynamicConv", "in_channels": 4, "feat_channels": 4, "input_feat_shape": 14},
    "loss_mask": {"type": "DiceLoss"},
}
# Inside, over an edge, wholly outside on each side, and touching the border from outside.
BOXES = [
    [4.0, 6.0, 30.0, 28.0],
    [-8.0, 20.0, 12.0, 60.0],
    [-30.0, 2.0, -9.0, 20.0],
    [70.0, 2.0, 99.0, 20.0],
    [2.0, -40.0, 20.0, -9.0],
    [2.0, 80.0, 20.0, 95.0],
    [-20.0, -20.0, 0.0, 0.0],
]
TEST_CFG = ConfigDict(mask_thr_binary=0.5)


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("chosen", [slice(None), slice(2, 6)], ids=["some outside", "all outside"])
def test_they_are_what_pasting_on_the_whole_image_gives(rescale: bool, chosen: slice) -> None:
    register_everything()
    detector = nn.ModuleDict({"mask_head": MODELS.build(ConfigDict(HEAD))})
    head = repaired(detector)["mask_head"]
    boxes = torch.tensor(BOXES)[chosen]
    logits = torch.randn(len(boxes), 1, 14, 14, generator=torch.Generator().manual_seed(0)) * 4
    meta = {"scale_factor": (1.6, 1.25), "ori_shape": (40, 30)}
    labels = torch.zeros(len(boxes), dtype=torch.long)
    given = boxes.clone()
    masks = head._predict_by_feat_single(logits, given, labels, meta, TEST_CFG, rescale=rescale)

    placed = boxes / torch.tensor([1.6, 1.25, 1.6, 1.25]) if rescale else boxes
    size = (40, 30) if rescale else (50, 48)
    whole, _ = fcn_mask_head._do_paste_mask(logits.sigmoid(), placed, *size, skip_empty=False)
    assert torch.equal(masks, whole >= 0.5)
    assert torch.equal(given, placed), "boxes are given out in the pixels of the image"
    assert bool(masks.any()) is (chosen == slice(None))
