"""Small detectors with random weights that find something, and pictures to show them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from numpy.typing import NDArray
from torch import nn

CLASSES = ("ring", "disc", "bar")

# The layers whose outputs become scores and boxes; everything before them keeps torch's own random weights.
_LAST = ("rtm_cls", "rtm_reg", "retina_cls", "retina_reg", "rpn_cls", "rpn_reg", "fc_cls", "fc_reg", "multi_level_conv")


def zoo(name: str) -> Config:
    """A config of MMDetection's own."""
    spec = importlib.util.find_spec("mmdet")
    assert spec is not None and spec.submodule_search_locations
    return Config.fromfile(Path(spec.submodule_search_locations[0], ".mim", "configs", name))


def resize_to(config: Config, scale: tuple[int, int], pad: tuple[int, int] | None = None) -> None:
    for step in config.test_dataloader.dataset.pipeline:
        if step["type"] == "Resize":
            step["scale"] = scale
        if step["type"] == "Pad" and pad is not None:
            step["size"] = pad


def _rtmdet() -> Config:
    config = zoo("rtmdet/rtmdet_tiny_8xb32-300e_coco.py")
    resize_to(config, (192, 160), (192, 192))
    config.model.backbone.widen_factor = 0.125
    config.model.neck.update(in_channels=[32, 64, 128], out_channels=32)
    config.model.bbox_head.update(num_classes=len(CLASSES), in_channels=32, feat_channels=32)
    return config


def _retinanet() -> Config:
    config = zoo("retinanet/retinanet_r18_fpn_1x_coco.py")
    resize_to(config, (192, 128))
    config.model.neck.out_channels = 32
    config.model.bbox_head.update(num_classes=len(CLASSES), in_channels=32, feat_channels=32, stacked_convs=1)
    return config


def _faster_rcnn() -> Config:
    config = zoo("faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py")
    resize_to(config, (192, 128))
    config.model.backbone.depth = 18
    config.model.neck.update(in_channels=[64, 128, 256, 512], out_channels=32)
    config.model.rpn_head.update(in_channels=32, feat_channels=32)
    config.model.roi_head.bbox_roi_extractor.out_channels = 32
    config.model.roi_head.bbox_head.update(num_classes=len(CLASSES), in_channels=32, fc_out_channels=64)
    config.model.test_cfg.rpn.update(nms_pre=200, max_per_img=150)
    return config


def _yolox() -> Config:
    config = zoo("yolox/yolox_tiny_8xb8-300e_coco.py")
    resize_to(config, (192, 192))
    config.model.bbox_head.num_classes = len(CLASSES)
    return config


CONFIGS: dict[str, Callable[[], Config]] = {
    "rtmdet": _rtmdet,
    "retinanet": _retinanet,
    "faster_rcnn": _faster_rcnn,
    "yolox": _yolox,
}


def random_detector(config: Config, seed: int = 0) -> Any:
    """A detector with random weights that finds objects of various classes, sizes and scores in any picture."""
    register_all_modules(init_default_scope=True)
    torch.manual_seed(seed)
    detector = MODELS.build(config.model).eval()
    for name, parameter in detector.named_parameters():
        if not any(layer in name for layer in _LAST):
            continue
        if name.endswith("weight"):
            parameter.data.normal_(0, 2 / parameter[0].numel() ** 0.5)
        elif "rtm_reg" in name:
            parameter.data.fill_(2.0)
        elif "reg" not in name:
            parameter.data.fill_(-2.0)
    return detector


def perturbed_detector(config: Config, seed: int = 0) -> Any:
    """A detector of which every layer does something: random weights, and noise on those that start as zero or alike.

    Queries differ from one another by far, and so do the scores of classes.
    """
    register_all_modules(init_default_scope=True)
    torch.manual_seed(seed)
    detector = MODELS.build(config.model).eval()
    for name, parameter in detector.named_parameters():
        if "backbone" in name:
            continue
        # level_embed is memory as it was found, until init_weights is called, which would fetch pretrained weights.
        if name == "level_embed" or ("embed" in name and "query" in name):
            parameter.data.normal_(0, 1)
        elif "proposal_bboxes" in name:
            parameter.data.uniform_(0.2, 0.8)
        elif "cls" in name and name.endswith("weight"):
            parameter.data.normal_(0, 2 / parameter[0].numel() ** 0.5)
        elif "cls" in name:
            parameter.data.fill_(-2.0)
        else:
            parameter.data.add_(torch.randn_like(parameter) * (0.15 if "decoder" in name else 0.05))
    _see_pictures(detector)
    return detector


@torch.no_grad()
def _see_pictures(detector: Any) -> None:
    """Batch norms take their statistics from pictures: with torch's own, every place of a deep map looks alike."""
    norms = [module for module in detector.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    pictures = torch.stack([torch.from_numpy(draw(seed, 128, 192)).permute(2, 0, 1) for seed in range(100, 104)])
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    detector.extract_feat((pictures - 127.0) / 60.0)
    detector.eval()


def draw(seed: int, height: int = 96, width: int = 144) -> NDArray[np.uint8]:
    """A noisy picture with a few shapes, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    for _ in range(4):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        cv2.circle(image, centre, int(rng.integers(4, 25)), tuple(rng.integers(0, 256, 3).tolist()), -1)
    return image
