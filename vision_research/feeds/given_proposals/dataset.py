"""A data set with precomputed proposals, for Fast R-CNN.

Importing this module registers `ProposalDataset`, and loads torch.
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

    It takes the arguments of `CocoDataset`. `proposal_file` is a file of `vision_research.datasets.proposals`: unlike
    MMDetection's pickles it cannot contain code, and identifies images by id, not by the last folder of their path.

    Args:
        proposal_backend_args: of the storage back end for the file; None is the local disk.
    """

    def __init__(self, *args: Any, proposal_backend_args: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self._proposal_backend_args = proposal_backend_args
        super().__init__(*args, **kwargs)

    def load_proposals(self) -> None:
        """Add its proposals to every sample."""
        found = read_proposals(get(self.proposal_file, backend_args=self._proposal_backend_args))
        for sample in self.data_list:
            own = found[sample["img_id"]]
            sample["proposals"] = {"bboxes": own.boxes, "scores": own.scores}
