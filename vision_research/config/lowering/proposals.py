"""Lowers proposals computed before, which Fast R-CNN (arXiv:1504.08083) classifies in the place of its own."""

from __future__ import annotations

from typing import Any

from vision_research.config.addresses import absolute, join
from vision_research.config.lowering.storage import backend_args
from vision_research.config.schema import DataConfig, StorageConfig
from vision_research.config.splits import split_with_files

# Steps that load proposals, and that move them with the boxes.
STEPS = ("LoadProposals", "ProposalBroadcaster")


def takes_proposals(model: dict[str, Any]) -> bool:
    """Tell whether a detector classifies boxes that are given to it."""
    return model.get("type") == "FastRCNN"


def proposal_dataset(dataset: dict[str, Any], data: DataConfig, storage: StorageConfig, split: str) -> dict[str, Any]:
    """Return a data set whose images come with their proposals.

    Args:
        dataset: the one without.
        data: where the files lie.
        storage: how S3 is reached.
        split: `train`, `val` or `test`.
    """
    typed = proposal_file(data, split)
    assert typed is not None, "validate() asks for it"
    file = join(absolute(data.root), typed)
    backend = backend_args(storage, file)
    return {**dataset, "type": "ProposalDataset", "proposal_file": file, "proposal_backend_args": backend}


def proposal_file(data: DataConfig, split: str) -> str | None:
    """Return the file of a split as it was typed; without a test split that of validation."""
    file: str | None = getattr(data, f"{split_with_files(data, split)}_proposals")
    return file
