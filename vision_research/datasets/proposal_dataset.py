"""Reads images with proposals that were computed before, for Fast R-CNN.

Importing this module registers `ProposalDataset`; it loads torch, so that commands do not import it.
"""

from __future__ import annotations

from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.fileio import get

from vision_research.datasets.proposals import read_proposals


@DATASETS.register_module()
class ProposalDataset(CocoDataset):
    """A COCO data set whose samples have `proposals`: `bboxes` (K, 4) and `scores` (K,).

    Takes the arguments of `CocoDataset`; `proposal_file` is one of `vision_research.datasets.proposals`, which cannot
    hold code as MMDetection's pickles can, and goes by the id of an image and not by the last folder of its path.

    Args:
        proposal_backend_args: what the file is read with; None is the local disk.
    """

    def __init__(self, *args: Any, proposal_backend_args: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self._proposal_backend_args = proposal_backend_args
        super().__init__(*args, **kwargs)

    def load_proposals(self) -> None:
        """Give every image its proposals."""
        found = read_proposals(get(self.proposal_file, backend_args=self._proposal_backend_args))
        for sample in self.data_list:
            own = found[sample["img_id"]]
            sample["proposals"] = {"bboxes": own.boxes, "scores": own.scores}
