"""How far an artifact of each format and precision may be from the detector in Python."""

from __future__ import annotations

from dataclasses import dataclass

from vision_research.deploy.detections import Tolerance


@dataclass(frozen=True)
class Bounds:
    """What an artifact is held to.

    Attributes:
        tolerance: of each detection; where `is_exact`, on each image, and all must have a partner.
        is_exact: whether every image must have the same number of detections.
        average_precision: largest difference of mAP, where there are annotations.
    """

    tolerance: Tolerance
    is_exact: bool
    average_precision: float


# TorchScript and .pt2 run the kernels that the detector in Python runs, on the same numbers: the resize inside gives
# OpenCV's grey levels. A mask may turn at one pixel in five hundred, where its logit is at the threshold to the last
# bit.
EXACT = Bounds(Tolerance(box_px=0.01, score=1e-4, mask=0.002), True, 0.001)

# Kernels for several images sum in another order. Boxes come out the same all the same; of masks, measured with random
# weights: 0.016 px, 3e-4, 2 of 400 masks off, and a Mask2Former score of 1.5e-3, which is one without a partner.
_BATCHED_MASKS = Bounds(Tolerance(box_px=0.05, score=1e-3, mask=0.02, unmatched=0.01), False, 0.001)

# Other kernels sum in another order; and a sum that lies at a threshold decides the other way now and then.
_OTHER_KERNELS = Bounds(Tolerance(box_px=0.5, score=0.01, mask=0.02, unmatched=0.01), False, 0.001)
_FP16 = Bounds(Tolerance(box_px=2.0, score=0.02, mask=0.05, unmatched=0.05), False, 0.01)
_BF16 = Bounds(Tolerance(box_px=8.0, score=0.1, mask=0.2, unmatched=0.25), False, 0.01)
_INT8 = Bounds(Tolerance(box_px=16.0, score=0.2, mask=0.3, unmatched=0.5), False, 0.01)


def bounds_of(form: str, precision: str, is_fused: bool = False, batches_masks: bool = False) -> Bounds:
    """The bounds of a format in a precision; a fused network, and one that gives masks in batches, have wider ones."""
    if precision == "fp32":
        if form not in ("torchscript", "pt2") or is_fused:
            return _OTHER_KERNELS
        return _BATCHED_MASKS if batches_masks else EXACT
    return {"fp16": _FP16, "bf16": _BF16, "int8": _INT8}[precision]
