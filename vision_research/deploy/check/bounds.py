"""How far an artifact may be from the detector in Python, by format and precision."""

from __future__ import annotations

from dataclasses import dataclass

from vision_research.deploy.check.difference import Tolerance
from vision_research.deploy.formats.registry import FORMATS


@dataclass(frozen=True)
class Bounds:
    """What an artifact is held to.

    Attributes:
        tolerance: largest differences of a detection from its partner.
        is_exact: whether on every image all detections must have a partner; otherwise `tolerance.unmatched` may lack
            one.
        average_precision: largest difference of mAP, where there are annotations.
    """

    tolerance: Tolerance
    is_exact: bool
    average_precision: float


# Formats of `same_kernels` run the kernels that the detector in Python runs, on the same numbers: the resize inside
# gives the grey levels of OpenCV. One pixel of a mask in five hundred may differ, where its logit equals the threshold
# to the last bit.
EXACT = Bounds(Tolerance(box_px=0.01, score=1e-4, mask=0.002), True, 0.001)

# Kernels for several images sum in another order. Boxes still meet the exact bounds. With masks and random weights were
# measured: boxes within 0.016 px, scores within 3e-4, 2 of 400 masks beyond the exact bound, and one Mask2Former score
# off by 1.5e-3, which counts as a detection without a partner.
_BATCHED_MASKS = Bounds(Tolerance(box_px=0.05, score=1e-3, mask=0.02, unmatched=0.01), False, 0.001)

# Other kernels sum in another order, so a sum next to a threshold may fall on the other side of it.
_OTHER_KERNELS = Bounds(Tolerance(box_px=0.5, score=0.01, mask=0.02, unmatched=0.01), False, 0.001)
_FP16 = Bounds(Tolerance(box_px=2.0, score=0.02, mask=0.05, unmatched=0.05), False, 0.01)
_BF16 = Bounds(Tolerance(box_px=8.0, score=0.1, mask=0.2, unmatched=0.25), False, 0.01)
_INT8 = Bounds(Tolerance(box_px=16.0, score=0.2, mask=0.3, unmatched=0.5), False, 0.01)


def bounds_of(form: str, precision: str, is_fused: bool = False, batches_masks: bool = False) -> Bounds:
    """The bounds that an artifact is held to.

    Args:
        form: name of the format.
        precision: of the network.
        is_fused: whether batch norms are folded, which changes the order of sums.
        batches_masks: whether it gives masks for several images at once.
    """
    if precision == "fp32":
        if not FORMATS[form].same_kernels or is_fused:
            return _OTHER_KERNELS
        return _BATCHED_MASKS if batches_masks else EXACT
    return {"fp16": _FP16, "bf16": _BF16, "int8": _INT8}[precision]
