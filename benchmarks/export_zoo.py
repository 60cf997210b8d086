"""The zoo configs that the export is proved on, and how to make a detector of each that finds something.

A detector with fresh random weights finds nothing, or the same everywhere. `perturbed_detector` lets pictures pass
and sets the statistics of every normalisation to what it sees, then spreads the outputs of the last layers: several
classes, hundreds of candidates, scores and sizes of all kinds. Long, for half of it is the list of configs.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class ZooConfig:
    """One config of MMDetection's own.

    Attributes:
        name: path below MMDetection's configs, without `.py`.
        size: width and height that test images are resized to; None keeps the config's.
        outputs: mean and standard deviation of last layers, by a pattern of their names, where the common ones do not
            fit.
    """

    name: str
    size: tuple[int, int] | None = (256, 192)
    outputs: Mapping[str, tuple[float, float]] = field(default_factory=dict)


_NUM_PICTURES = 8
_NUM_PROPOSALS = 200

# Boxes of a few cells: what the last box layer must give for that depends on the head.
_WIDE = {r"conv_reg$": (3.0, 0.5)}
_TBLR = {r"retina_reg$": (0.3, 0.1)}
_QUERIES = {r"cls_branches\.\d+$": (-2.0, 1.5)}
_MASKS = {r"conv_logits$": (0.0, 2.0)}
_PEAKS = {r"heatmap_head\.2$": (-3.0, 0.1), r"wh_head\.2$": (8.0, 3.0), r"offset_head\.2$": (0.5, 0.3)}
_GRIDS = {r"conv_cls$": (-4.0, 1.5)}
# Narrow where a deep random network makes several times more of one picture than of another: were all scores 1, the cut
# would fall among equals. One prior of fifty is above the threshold, as in a trained one.
_RTMDET = {r"rtm_reg\.\d+$": (1.0, 0.5), r"rtm_cls\.\d+$": (-7.2, 0.15)}

ZOO: dict[str, tuple[ZooConfig, ...]] = {
    "dense": (
        ZooConfig("retinanet/retinanet_r18_fpn_1x_coco"),
        ZooConfig("free_anchor/freeanchor_r50_fpn_1x_coco"),
        ZooConfig("ghm/retinanet_r50_fpn_ghm-1x_coco"),
        ZooConfig("pisa/retinanet-r50_fpn_pisa_1x_coco"),
        ZooConfig("libra_rcnn/libra-retinanet_r50_fpn_1x_coco"),
        ZooConfig("fcos/fcos_r50-caffe_fpn_gn-head_1x_coco", outputs=_WIDE),
        ZooConfig("fcos/fcos_r18_fpn_gn-head-center-normbbox-centeronreg-giou_8xb8-amp-lsj-200e_coco", outputs=_WIDE),
        ZooConfig("nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco", outputs=_WIDE),
        ZooConfig("autoassign/autoassign_r50-caffe_fpn_1x_coco", outputs=_WIDE),
        ZooConfig("atss/atss_r18_fpn_8xb8-amp-lsj-200e_coco"),
        ZooConfig("dyhead/atss_r50_fpn_dyhead_1x_coco"),
        # mmcv's deformable convolution takes no map that is smaller than its kernel.
        ZooConfig("ddod/ddod_r50_fpn_1x_coco", size=(512, 384)),
        ZooConfig("gfl/gfl_r50_fpn_1x_coco"),
        ZooConfig("tood/tood_r50_fpn_1x_coco"),
        ZooConfig("tood/tood_r50_fpn_anchor-based_1x_coco"),
        ZooConfig("vfnet/vfnet_r50_fpn_1x_coco"),
        ZooConfig("fsaf/fsaf_r50_fpn_1x_coco", outputs=_TBLR),
        ZooConfig("foveabox/fovea_r50_fpn_4xb4-1x_coco"),
        ZooConfig("reppoints/reppoints-moment_r50_fpn_1x_coco"),
        ZooConfig("yolof/yolof_r50-c5_8xb8-1x_coco"),
        ZooConfig("centernet/centernet-update_r18_fpn_8xb8-amp-lsj-200e_coco"),
        ZooConfig("ssd/ssd300_coco", size=None),
        ZooConfig("ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco"),
        ZooConfig("rtmdet/rtmdet_tiny_8xb32-300e_coco", outputs=_RTMDET),
    ),
    "paa": (ZooConfig("paa/paa_r50_fpn_1x_coco"),),
    "centernet": (
        ZooConfig("centernet/centernet_r18_8xb16-crop512-140e_coco", size=None, outputs=_PEAKS),
        ZooConfig("centernet/centernet_r18-dcnv2_8xb16-crop512-140e_coco", size=None, outputs=_PEAKS),
    ),
    "yolov3": (
        ZooConfig("yolo/yolov3_mobilenetv2_8xb24-320-300e_coco"),
        ZooConfig("yolo/yolov3_d53_8xb8-320-273e_coco"),
    ),
    "yolox": (ZooConfig("yolox/yolox_tiny_8xb8-300e_coco"),),
    "two_stage": (
        ZooConfig("faster_rcnn/faster-rcnn_r18_fpn_8xb8-amp-lsj-200e_coco"),
        ZooConfig("faster_rcnn/faster-rcnn_r50_fpn_soft-nms_1x_coco"),
        ZooConfig("faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco"),
        ZooConfig("libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco"),
        ZooConfig("dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco"),
        ZooConfig("pisa/faster-rcnn_r50_fpn_pisa_1x_coco"),
        ZooConfig("dcn/faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco"),
        ZooConfig("double_heads/dh-faster-rcnn_r50_fpn_1x_coco", outputs={r"rpn_cls$": (-3.0, 0.1)}),
        ZooConfig("cascade_rcnn/cascade-rcnn_r18_fpn_8xb8-amp-lsj-200e_coco"),
        ZooConfig("detectors/detectors_cascade-rcnn_r50_1x_coco"),
    ),
    "grid": (ZooConfig("grid_rcnn/grid-rcnn_r50_fpn_gn-head_1x_coco"),),
    "query": (
        ZooConfig("detr/detr_r50_8xb2-150e_coco"),
        ZooConfig("conditional_detr/conditional-detr_r50_8xb2-50e_coco"),
        ZooConfig("dab_detr/dab-detr_r50_8xb2-50e_coco"),
        ZooConfig("deformable_detr/deformable-detr_r50_16xb2-50e_coco"),
        ZooConfig("deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco", outputs=_QUERIES),
        # It takes no image that has fewer cells than it has queries, 900.
        ZooConfig("dino/dino-4scale_r50_8xb2-12e_coco", size=(512, 384), outputs=_QUERIES),
        # Six stages of wider deltas make boxes of several images' width, of which rounding alone makes others.
        ZooConfig("sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco", outputs={r"fc_reg$": (0.0, 0.2)}),
    ),
    "masks": (
        ZooConfig("mask_rcnn/mask-rcnn_r18_fpn_8xb8-amp-lsj-200e_coco", outputs=_MASKS),
        ZooConfig("cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco", outputs=_MASKS),
        ZooConfig("ms_rcnn/ms-rcnn_r50_fpn_1x_coco", outputs=_MASKS),
        ZooConfig("htc/htc-without-semantic_r50_fpn_1x_coco", outputs=_MASKS),
        ZooConfig("rtmdet/rtmdet-ins_tiny_8xb32-300e_coco", outputs={r"rtm_reg\.\d+$": (1.0, 0.5)}),
        ZooConfig("solo/solo_r18_fpn_8xb8-lsj-200e_coco", outputs=_GRIDS),
        ZooConfig("solov2/solov2-light_r18_fpn_ms-3x_coco", outputs=_GRIDS),
        ZooConfig("mask2former/mask2former_r50_8xb2-lsj-50e_coco"),
    ),
}
"""The configs of each family."""

# Mean and standard deviation of a last layer's output: logits on both sides of the score threshold, deltas of a
# fraction of a prior. The first pattern that fits counts.
_OUTPUTS = {
    r"(fc_cls|bbox_head\.cls_convs\.\d+\.\d+)$": (0.0, 2.0),
    r"(cls|_cls\.\d+|cls_out|cls_score)$": (-3.0, 1.5),
    r"convs_pred\.\d+$": (0.0, 1.0),
    r"(centerness|_iou|conv_obj\.\d+|object_pred|cls_prob_module\.2)$": (1.0, 1.0),
    r"(gfl_reg|fc_reg)$": (0.0, 1.0),
    r"pts_(init|refine)_out$": (0.0, 2.0),
    r"(conv_reg|tood_reg|vfnet_reg)$": (1.0, 0.5),
    r"(reg|reg\.\d+|bbox_pred|reg_refine|reg_convs\.\d+\.\d+|conv_offset|offset_module\.2)$": (0.0, 0.3),
}


def zoo_config(zoo: ZooConfig) -> Any:
    """Load a config, with its test images at the size to prove it on, and with fewer proposals."""
    from mmengine.config import Config

    spec = importlib.util.find_spec("mmdet")
    assert spec is not None and spec.submodule_search_locations
    config = Config.fromfile(Path(spec.submodule_search_locations[0], ".mim", "configs", f"{zoo.name}.py"))
    for step in config.test_dataloader.dataset.pipeline if zoo.size else ():
        if step["type"] == "Resize":
            step["scale"] = zoo.size
        if step["type"] == "Pad" and step.get("size"):
            step["size"] = zoo.size
    if zoo.size and (config.model.get("test_cfg") or {}).get("rpn"):
        config.model.test_cfg.rpn.max_per_img = _NUM_PROPOSALS
    return config


def perturbed_detector(zoo: ZooConfig, config: Any, seed: int = 0) -> Any:
    """Build a config's detector with random weights that find objects of many classes, sizes and scores.

    Args:
        zoo: how its last layers are to be spread.
        config: of `zoo_config`.
        seed: of the weights.
    """
    from mmdet.utils import register_all_modules

    from vision_research.deploy.build.input_spec import read_input_spec
    from vision_research.deploy.check.reference import PythonDetector
    from vision_research.deploy.families.registry import find_family
    from vision_research.detectors.build import build_detector

    register_all_modules(init_default_scope=True)
    torch.manual_seed(seed)
    detector = build_detector(config.model)
    if hasattr(detector, "level_embed"):
        # Memory as it was found, until init_weights is called.
        torch.nn.init.normal_(detector.level_embed)
    if hasattr(detector, "rpn_head") and hasattr(detector.rpn_head, "init_proposal_bboxes"):
        # Centres and sizes: torch's own have negative ones.
        torch.nn.init.uniform_(detector.rpn_head.init_proposal_bboxes.weight, 0.2, 0.8)
    pipeline = config.test_dataloader.dataset.pipeline
    spec = replace(read_input_spec(pipeline, config.model.data_preprocessor), canvas=None)
    python = PythonDetector(detector, pipeline, spec, find_family(detector))
    # Several pictures: statistics of one alone would not fit another, and grow with every layer.
    prepared = [python.prepare(draw(1000 + index, 120, 160)) for index in range(_NUM_PICTURES)]
    tensor, samples = torch.cat([item.tensor for item in prepared]), [item.data_samples[0] for item in prepared]
    with torch.no_grad(), _settling(detector, {**zoo.outputs, **_OUTPUTS}):
        detector(tensor, samples, mode="predict")
    return detector


@contextmanager
def _settling(detector: nn.Module, outputs: Mapping[str, tuple[float, float]]) -> Iterator[None]:
    """Within the block, the first input of a layer settles it: its statistics, or the spread of its outputs."""
    settled: set[nn.Module] = set()
    handles = []
    for name, module in detector.named_modules():
        target = next((value for pattern, value in outputs.items() if re.search(pattern, name)), None)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            handles.append(module.register_forward_pre_hook(_settle_norm(settled)))
        elif isinstance(module, nn.Conv2d | nn.Linear) and "head" in name and target is not None:
            handles.append(module.register_forward_pre_hook(_settle_output(settled, *target)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _settle_norm(settled: set[nn.Module]) -> Any:
    def settle(module: Any, inputs: tuple[Tensor, ...]) -> None:
        if module in settled or inputs[0].numel() == 0:
            return
        settled.add(module)
        values = inputs[0].transpose(0, 1).flatten(1)
        module.running_mean.copy_(values.mean(dim=1))
        spread = values.var(dim=1, unbiased=False)
        # A channel that hardly moves here must not explode on another picture.
        module.running_var.copy_(spread + 0.2 * spread.mean() + 1e-3)

    return settle


def _settle_output(settled: set[nn.Module], mean: float, std: float) -> Any:
    def settle(module: Any, inputs: tuple[Tensor, ...]) -> None:
        if module in settled or inputs[0].numel() == 0:
            return
        settled.add(module)
        module.weight.normal_()
        # Not module(...): that would come back here. The spread is over places, or over RoIs, in each channel.
        output = module.forward(*inputs)
        values = _by_channel(module, output)
        module.weight.mul_(std / values.std().clamp(min=1e-6))
        if module.bias is not None:
            output = module.forward(*inputs)
            values = _by_channel(module, output)
            module.bias.add_(mean - values.mean(dim=1))

    return settle


def _by_channel(module: nn.Module, output: Tensor) -> Tensor:
    """(channels, values): the outputs of a convolution, or of a linear layer on rows of any shape."""
    return output.transpose(0, 1).flatten(1) if isinstance(module, nn.Conv2d) else output.flatten(0, -2).t()


def draw(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """A picture of smooth colours, black and a few discs, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    image[: height // 4, : width // 3] = 0
    for _ in range(8):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        cv2.circle(image, centre, int(rng.integers(4, height // 4)), tuple(rng.integers(0, 256, 3).tolist()), -1)
    return np.asarray(image, dtype=np.uint8)
