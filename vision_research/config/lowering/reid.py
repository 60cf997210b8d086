"""Lowers re-identification: crops of objects with their identities, of which a training step compares a few."""

from __future__ import annotations

from typing import Any

from vision_research.config.addresses import absolute
from vision_research.config.schema import DataConfig, DataKind, TrainConfig
from vision_research.config.splits import split_with_files

REID_KINDS = (DataKind.reid, DataKind.digits_reid)
# Mean average precision and cumulative matching (arXiv:1610.02984), as MMDetection computes them.
METRIC = {"type": "ReIDMetrics", "metric": ["mAP", "CMC"]}
# It looks at so many of the crops that are nearest to one, and fails where there are fewer beside it.
RANKED = 20
# 8 identities with 4 crops each in a step, as every file of the zoo has it (arXiv:1703.07737).
DRAWN = {"num_ids": 8, "ins_per_id": 4}


def reid_dataset(config: TrainConfig, identities: tuple[str, ...], split: str) -> dict[str, Any]:
    """Return the data set of a split, without its pipeline.

    Args:
        config: the run.
        identities: of the training split.
        split: `train`, `val` or `test`; without a test split that is the validation split.
    """
    data = config.data
    ann, prefix = reid_files(data)[split]
    limit = {"train": data.limit_train, "val": data.limit_val}.get(split)
    return {
        "type": "ReIDDataset",
        "data_root": absolute(data.root),
        "ann_file": ann,
        "data_prefix": {"img_path": prefix},
        "metainfo": {"classes": identities},
        "triplet_sampler": dict(DRAWN) if split == "train" else None,
        **({} if split == "train" else {"test_mode": True}),
        **({} if limit is None else {"indices": limit}),
    }


def reid_files(data: DataConfig) -> dict[str, tuple[str, str]]:
    """Return list and folder of the crops of each split; without a test split those of validation."""
    files = {}
    for split in ("train", "val", "test"):
        used = split_with_files(data, split)
        own = getattr(data, f"{used}_prefix")
        files[split] = (getattr(data, f"{used}_ann"), data.img_prefix if own is None else own)
    return files
