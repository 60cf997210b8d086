"""Writes the proposals of an evaluation to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vision_research.datasets.proposals import Proposals, write_proposals


class ProposalWriter:
    """Collects the proposals of an evaluation, and writes them to a file.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[int, Proposals] = {}

    def take(self, sample: Any) -> None:
        """Add the proposals of one image: a `DetDataSample` with predicted boxes and scores."""
        found = sample.pred_instances
        name = Path(sample.img_path).name
        self._found[sample.img_id] = Proposals(name, found.bboxes.cpu().numpy(), found.scores.cpu().numpy())

    def write(self) -> str:
        """Write the file, and return one line about it."""
        write_proposals(self._path, self._found)
        return f"proposals of {len(self._found)} images: {self._path}"
