"""CrowdDet on images with one object: the same as with a second one that no proposal meets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData
from torch import nn

from vision_research.config.zoo import zoo_folder
from vision_research.detectors.build import repaired
from vision_research.inference.predictors import register_everything

FILE = "crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman.py"
OBJECT = [8.0, 8.0, 40.0, 56.0]
PROPOSALS = [[6.0, 8.0, 40.0, 52.0], [30.0, 30.0, 62.0, 62.0], [0.0, 40.0, 20.0, 60.0]]


@pytest.fixture(scope="module")
def head() -> Any:
    register_everything()
    model = Config.fromfile(zoo_folder() / FILE).model
    roi_head = model.roi_head
    roi_head.bbox_roi_extractor.roi_layer.use_torchvision = False
    roi_head.bbox_roi_extractor.out_channels = 8
    roi_head.bbox_head.update(in_channels=8, fc_out_channels=16)
    torch.manual_seed(0)
    built = MODELS.build(ConfigDict(**roi_head, train_cfg=model.train_cfg.rcnn, test_cfg=model.test_cfg.rcnn))
    return repaired(nn.ModuleDict({"roi_head": built}))["roi_head"]


def losses(
    head: Any, boxes: list[list[float]], proposals: list[list[float]], ignored: list[list[float]]
) -> dict[str, Any]:
    torch.manual_seed(0)
    maps = [torch.randn(1, 8, 64 // stride, 64 // stride) for stride in (4, 8, 16, 32)]
    sample = DetDataSample(metainfo={"img_shape": (64, 64)})
    sample.gt_instances = instances(boxes, 0)
    sample.ignored_instances = instances(ignored, -1)
    found: dict[str, Any] = head.loss(maps, [InstanceData(bboxes=torch.tensor(proposals))], [sample])
    assert len(sample.ignored_instances) == len(ignored), "the sample itself stays as it is"
    return {name: float(value.detach()) for name, value in found.items()}


def instances(boxes: list[list[float]], label: int) -> InstanceData:
    labels = torch.full((len(boxes),), label)
    return InstanceData(bboxes=torch.tensor(boxes).reshape(-1, 4), labels=labels)


@pytest.mark.parametrize("num_proposals", [2, 3])
def test_what_an_image_lacks_of_objects_is_background(head: Any, num_proposals: int) -> None:
    proposals = PROPOSALS[:num_proposals]
    alone = losses(head, [OBJECT], proposals, [])
    # Its own list then has two entries, which MMDetection takes as they are.
    assert alone == pytest.approx(losses(head, [OBJECT], proposals, [[62.0, 1.0, 63.0, 2.0]]))
    assert alone["loss_rcnn_emd"] > 0
    twice = losses(head, [OBJECT, PROPOSALS[0]], proposals, [])
    assert twice["loss_rcnn_emd"] != pytest.approx(alone["loss_rcnn_emd"]), "a second object counts"
