"""Checks the annotation files of a zoo file's data sets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vision_research.config.addresses import join
from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataConfig
from vision_research.config.splits import SPLITS
from vision_research.datasets.facts import DatasetFacts
from vision_research.storage.s3.path import as_path
from vision_research.tasks.zoo_file.data_excerpt import data_excerpt


def look_at_files(data: DataConfig) -> DatasetFacts:
    """Check that the annotation files exist, and count their images.

    Raises:
        ConfigError: annotation files are missing.
    """
    excerpt = data_excerpt(data)
    files = {split: [file for dataset in excerpt.get(split) or [] if (file := _ann_file(dataset))] for split in SPLITS}
    absent = dict.fromkeys(file for split in ("train", "val") for file in files[split] if not as_path(file).is_file())
    if absent:
        assert data.recipe is not None
        raise ConfigError(
            f"data.root={data.root}: zoo/{data.recipe['zoo']} reads {', '.join(absent)}, which is not there. Type "
            f"data.root=FOLDER for the folder that has it, or data=coco data.root=FOLDER ... for data of your own"
        )
    datasets = {split: list(_built(excerpt.get(split) or [])) for split in SPLITS[:2]}
    counts = {split: sum(map(len, built)) for split, built in datasets.items()}
    return DatasetFacts(
        classes=tuple(datasets["train"][0].metainfo.get("classes", ())),
        counts=counts,
        digest=_digest([Path(file) for split in SPLITS[:2] for file in files[split]]),
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
