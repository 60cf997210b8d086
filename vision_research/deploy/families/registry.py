"""All families of detectors, and the search for the one that exports a given detector."""

from __future__ import annotations

from typing import Any

from vision_research.deploy.errors import ExportError
from vision_research.deploy.families.centernet import CenterNetFamily
from vision_research.deploy.families.dense import DenseFamily
from vision_research.deploy.families.detr import DetrFamily
from vision_research.deploy.families.family import Family
from vision_research.deploy.families.grid_rcnn import GridFamily
from vision_research.deploy.families.htc import HtcFamily
from vision_research.deploy.families.mask2former import MaskQueryFamily
from vision_research.deploy.families.mask_two_stage import MaskTwoStageFamily
from vision_research.deploy.families.paa import PaaFamily
from vision_research.deploy.families.rtmdet_ins import InstanceFamily
from vision_research.deploy.families.solo import SoloFamily
from vision_research.deploy.families.sparse import SparseFamily
from vision_research.deploy.families.two_stage import TwoStageFamily
from vision_research.deploy.families.yolo_v3 import YoloV3Family
from vision_research.deploy.families.yolox import YoloxFamily

FAMILIES: tuple[Family, ...] = (
    DenseFamily(),
    PaaFamily(),
    CenterNetFamily(),
    YoloV3Family(),
    YoloxFamily(),
    TwoStageFamily(),
    GridFamily(),
    DetrFamily(),
    SparseFamily(),
    MaskTwoStageFamily(),
    HtcFamily(),
    InstanceFamily(),
    SoloFamily(),
    MaskQueryFamily(),
)


def find_family(detector: Any) -> Family:
    """Find the family that exports a detector that MMDetection built.

    Raises:
        ExportError: no family exports it; the message says why each family refuses, and how to add one.
    """
    refusals = {family.name: family.refusals(detector) for family in FAMILIES}
    for family in FAMILIES:
        if not refusals[family.name]:
            return family
    listed = "\n".join(f"  - {name}: {'; '.join(reasons)}" for name, reasons in refusals.items())
    raise ExportError(
        f"{type(detector).__name__} cannot be exported. Supported, and why it is not one of them:\n{listed}\n"
        "Turn the export off with export=none, or implement Family (vision_research/deploy/families/family.py) "
        "for its head and add it to FAMILIES in vision_research/deploy/families/registry.py."
    )
