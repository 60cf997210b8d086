"""The task of panoptic segmentation: every pixel is assigned to a thing or to stuff.

Its data is that of boxes with panoptic maps, which the feed of maps adds.
"""

from __future__ import annotations

from typing import Any

from vision_research.config.addresses import absolute, join
from vision_research.config.schema import DataConfig
from vision_research.config.traits import DetectorTraits
from vision_research.datasets.formats import COLLECT_DEVICE
from vision_research.datasets.panoptic_files import panoptic_ann
from vision_research.protocols import MetricInfo, RunConfig
from vision_research.tasks.boxes.task import Boxes
from vision_research.tasks.panoptic.embedded import DIGITS_PANOPTIC


class Panoptic(Boxes):
    """Panoptic segmentation, scored by panoptic quality (arXiv:1801.00868)."""

    name = "panoptic"
    embedded = DIGITS_PANOPTIC
    metrics = {
        "PanopticQuality": MetricInfo("panoptic/PQ", "panoptic maps"),
        "CocoPanopticMetric": MetricInfo("coco_panoptic/PQ", "panoptic maps"),
        "SemSegMetric": MetricInfo("auto", "maps of classes"),
    }
    modules = ("vision_research.tasks.panoptic.metric",)

    def claims(self, traits: DetectorTraits, data: DataConfig) -> bool:
        """Claim panoptic detectors on data with maps; without maps they predict instance masks."""
        return traits.is_panoptic and data.train_panoptic is not None

    def scores_masks(self, traits: DetectorTraits) -> bool:
        """Return False: panoptic quality reads maps, not masks."""
        return False

    def evaluator(self, run: RunConfig, split: str) -> dict[str, Any]:
        """Return the metric of panoptic quality."""
        file = join(absolute(run.data.root), panoptic_ann(run.data, split))
        return {
            "type": "PanopticQuality",
            "ann_file": file,
            "collect_device": COLLECT_DEVICE,
            "backend_args": run.config.storage.backend_args(file),
        }
