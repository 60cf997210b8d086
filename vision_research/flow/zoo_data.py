"""Looks at the data that a zoo file names itself: whether its files are here, and what is in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vision_research.config.addresses import join
from vision_research.config.errors import ConfigError
from vision_research.config.lowering.recipe_data import recipe_data
from vision_research.config.schema import TrainConfig
from vision_research.datasets.facts import DatasetFacts
from vision_research.storage.s3.path import as_path

SPLITS = ("train", "val", "test")


def look_at_zoo_data(config: TrainConfig) -> DatasetFacts:
    """Find the files of a zoo file's data sets, and read how many images they have.

    Raises:
        ConfigError: annotation files are not there, each with the key to type.
    """
    words = recipe_data(config.data)
    files = {split: [file for dataset in words.get(split) or [] if (file := _ann_file(dataset))] for split in SPLITS}
    absent = dict.fromkeys(file for split in ("train", "val") for file in files[split] if not as_path(file).is_file())
    if absent:
        assert config.data.recipe is not None
        zoo = config.data.recipe["zoo"]
        raise ConfigError(
            f"data.root={config.data.root}: zoo/{zoo} reads {', '.join(absent)}, which is not there. Type "
            f"data.root=FOLDER for the folder that has it, or data=coco data.root=FOLDER ... for data of your own"
        )
    datasets = {split: list(_built(words.get(split) or [])) for split in SPLITS[:2]}
    counts = {split: sum(map(len, built)) for split, built in datasets.items()}
    return DatasetFacts(
        classes=tuple(datasets["train"][0].metainfo.get("classes", ())),
        num_train=counts["train"],
        num_val=counts["val"],
        num_test=None,
        digest=_digest([Path(file) for split in SPLITS[:2] for file in files[split]]),
        warnings=(),
        masks="none",
    )


def _ann_file(dataset: dict[str, Any]) -> str | None:
    name = dataset.get("ann_file")
    return join(dataset.get("data_root") or "", name) if isinstance(name, str) and name else None


def _built(datasets: list[dict[str, Any]]) -> Iterator[Any]:
    from mmdet.registry import DATASETS
    from mmdet.utils import register_all_modules
    from mmengine.config import ConfigDict

    register_all_modules(init_default_scope=True)
    for dataset in datasets:
        try:
            yield DATASETS.build(ConfigDict({**dataset, "pipeline": []}))
        except Exception as error:
            raise ConfigError(f"data: {dataset['type']} of the zoo file does not build: {error}") from error


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:16]
