"""Proposals for the digits, in the place of those that an RPN would have found: what Fast R-CNN is tried on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from vision_research.datasets.proposals import Proposals, write_proposals
from vision_research.registry import make_embedded


def write_digit_proposals(folder: Path) -> Path:
    """Write proposals for the digits: each of their boxes, moved a little, and twenty of no object."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    root = make_embedded("digits", Path("data/digits"))
    for split in ("train", "val", "test"):
        tree = json.loads((root / "annotations" / f"{split}.json").read_text())
        found = {}
        for image in tree["images"]:
            own = [one["bbox"] for one in tree["annotations"] if one["image_id"] == image["id"]]
            corners = np.array(own, np.float32).reshape(-1, 4) + rng.normal(0, 2, (len(own), 4)).astype(np.float32)
            others = rng.uniform(0, 100, (20, 4)).astype(np.float32)
            boxes = np.concatenate([corners, others])
            boxes[:, 2:] = boxes[:, :2] + np.maximum(boxes[:, 2:], 4)
            scores = np.linspace(1, 0, len(boxes), dtype=np.float32)
            found[image["id"]] = Proposals(Path(image["file_name"]).name, boxes, scores)
        write_proposals(folder / f"{split}.npz", found)
    return folder
