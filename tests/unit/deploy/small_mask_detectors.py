"""Makes MMDetection's detectors with masks small, in their configs."""

from __future__ import annotations

from mmengine.config import Config


def shrink_solo(config: Config) -> None:
    """Make a SOLO small."""
    config.model.backbone.depth = 18
    config.model.neck.update(in_channels=[64, 128, 256, 512], out_channels=32)
    config.model.mask_head.update(num_classes=6, in_channels=32, feat_channels=32, stacked_convs=2)
    config.model.mask_head.num_grids = [10, 8, 6, 4, 3]
    if "mask_feature_head" in config.model.mask_head:
        config.model.mask_head.mask_feature_head.update(feat_channels=32, out_channels=32)


def shrink_mask2former(config: Config) -> None:
    """Make a Mask2Former small."""
    head = config.model.panoptic_head
    head.num_queries = 20
    head.transformer_decoder.num_layers = 4
    head.pixel_decoder.encoder.num_layers = 2
    config.model.backbone.depth = 18
    head.in_channels = [64, 128, 256, 512]


def shrink_mask_rcnn(config: Config) -> None:
    """Make a two-stage detector with masks small."""
    model, roi_head = config.model, config.model.roi_head
    model.backbone.depth = 18
    model.neck.update(in_channels=[64, 128, 256, 512], out_channels=32)
    model.rpn_head.update(in_channels=32, feat_channels=32)
    model.test_cfg.rpn.update(nms_pre=200, max_per_img=25)
    # More than there are proposals, so that no class can be all of them.
    model.test_cfg.rcnn.update(max_per_img=30, score_thr=0.0)
    roi_head.bbox_roi_extractor.out_channels = roi_head.mask_roi_extractor.out_channels = 32
    heads = roi_head.bbox_head if isinstance(roi_head.bbox_head, list) else [roi_head.bbox_head]
    for head in heads:
        head.update(num_classes=6, in_channels=32, fc_out_channels=64)
    for head in roi_head.mask_head if isinstance(roi_head.mask_head, list) else [roi_head.mask_head]:
        head.update(num_classes=6, in_channels=32, conv_out_channels=32, num_convs=2)
    if "mask_iou_head" in roi_head:
        roi_head.mask_iou_head.update(
            num_classes=6, in_channels=32, conv_out_channels=32, fc_out_channels=64, num_convs=2
        )


def shrink_rtmdet_ins(config: Config) -> None:
    """Make an RTMDet-Ins small."""
    config.model.backbone.widen_factor = 0.125
    config.model.neck.update(in_channels=[32, 64, 128], out_channels=32)
    config.model.bbox_head.update(num_classes=6, in_channels=32, feat_channels=32)
