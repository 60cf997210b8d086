"""The task of a zoo file with its own data: it uses the file's data sets, loaders and evaluators.

They are unchanged except for the keys that are overridden.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vision_research.config.addresses import join
from vision_research.config.dataset_tree import fill_template
from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataConfig, DataKind
from vision_research.config.traits import DetectorTraits
from vision_research.config.tree import replace
from vision_research.config.zoo_entries import zoo_excerpt
from vision_research.datasets.annotation_format import SplitFiles
from vision_research.datasets.facts import DatasetFacts
from vision_research.protocols import Feed, LoweringInputs, LoweringRun, MetricInfo, RunConfig, Task
from vision_research.storage.s3.path import as_path


class ZooFile(Task):
    """A zoo file's own data.

    Args:
        metric_info: finds the monitor and the subject of a metric of any task.
    """

    name = "zoo_file"
    kinds = frozenset({DataKind.zoo})

    def __init__(self, metric_info: Callable[[Mapping[str, Any]], MetricInfo | None]) -> None:
        self._metric_info = metric_info

    def claims(self, traits: DetectorTraits, data: DataConfig) -> bool:
        """Claim the data of a zoo file."""
        return data.kind in self.kinds

    def monitor(self, traits: DetectorTraits, data: DataConfig) -> str:
        """Return the monitor of the file's metric."""
        evaluator = (data.recipe or {}).get("val_evaluator") or {}
        info = self._metric_info(evaluator[0] if isinstance(evaluator, list) else evaluator)
        return "auto" if info is None else info.monitor

    def look(self, data: DataConfig, splits: Sequence[str], more: Sequence[SplitFiles] = ()) -> DatasetFacts:
        """Check that the annotation files exist, and count their images."""
        excerpt = _data_excerpt(data)
        configs = {split: excerpt.get(split) or [] for split in ("train", "val")}
        files = [
            join(config.get("data_root") or "", config["ann_file"])
            for config in (*configs["train"], *configs["val"])
            if isinstance(config.get("ann_file"), str) and config["ann_file"]
        ]
        if absent := dict.fromkeys(file for file in files if not as_path(file).is_file()):
            assert data.recipe is not None
            raise ConfigError(
                f"data.root={data.root}: zoo/{data.recipe['zoo']} reads {', '.join(absent)}, which is not there. Type "
                f"data.root=FOLDER for the folder that has it, or data=coco data.root=FOLDER ... for data of your own"
            )
        datasets = {split: list(_built(of_split)) for split, of_split in configs.items()}
        digest = hashlib.sha256()
        for file in map(Path, files):
            if file.is_file():
                with file.open("rb") as content:
                    digest.update(hashlib.file_digest(content, "sha256").digest())
        return DatasetFacts(
            classes=tuple(datasets["train"][0].metainfo.get("classes", ())),
            counts={split: sum(map(len, built)) for split, built in datasets.items()},
            digest=digest.hexdigest()[:16],
        )

    def set_classes(self, model: dict[str, Any], inputs: LoweringInputs) -> None:
        """Change nothing: the file sets the classes of its own data."""

    def loader(
        self, run: LoweringRun, split: str, template: Mapping[str, Any], feeds: Sequence[Feed]
    ) -> dict[str, Any] | None:
        """Return the file's loader of a split; None where it has none.

        Raises:
            ConfigError: the data sets do not fit the wrappers of another file's augmentation.
        """
        excerpt = _data_excerpt(run.data)
        own = excerpt.get(f"{split}_dataloader")
        if own is None:
            return None
        return {**_typed_loader(own, run.data, split), "dataset": _filled(template, excerpt[split], run, split)}

    def evaluator(self, run: RunConfig, split: str) -> Any:
        """Return the file's evaluator of a split."""
        return _data_excerpt(run.data).get(f"{split}_evaluator")


def _typed_loader(loader: dict[str, Any], data: DataConfig, split: str) -> dict[str, Any]:
    batch_size = data.batch_size if split == "train" else data.val_batch_size
    typed = {"batch_size": (batch_size, 1)}
    if split == "train":
        typed |= {"num_workers": (data.num_workers, 0), "persistent_workers": (data.persistent_workers, False)}
    elif data.num_workers == 0:
        typed |= {"num_workers": (0, 0), "persistent_workers": (False, False)}
    changed: dict[str, Any] = {key: value for key, (value, absent) in typed.items() if value != loader.get(key, absent)}
    if changed.get("num_workers") == 0:
        changed["persistent_workers"] = False
    sampler = loader.get("sampler") or {}
    if split == "train" and "batch_size" in sampler:
        # This sampler composes batches of several data sets, and has a batch size of its own.
        changed["sampler"] = {**sampler, "batch_size": batch_size}
    return {**loader, **changed}


def _filled(template: Mapping[str, Any], datasets: list[dict[str, Any]], run: RunConfig, split: str) -> dict[str, Any]:
    limit = run.data.limit_train if split == "train" else run.data.limit_val
    shortened = [{**dataset, **({} if limit is None else {"indices": limit})} for dataset in datasets]
    try:
        return fill_template(dict(template), shortened)
    except ValueError as error:
        aug, data = run.config.aug.recipe, run.data.recipe
        assert data is not None and aug is not None
        raise ConfigError(
            f"aug=zoo/{aug['zoo']} with data=zoo/{data['zoo']}: {error} ({split}). Type aug=zoo/{data['zoo']}, or an "
            "option without zoo/"
        ) from error


def _data_excerpt(data: DataConfig) -> dict[str, Any]:
    """Return the data config of the zoo file, with `data.root` in place of the file's root."""
    assert data.recipe is not None
    old, new = data.recipe["root"].rstrip("/"), data.root.rstrip("/")
    excerpt = zoo_excerpt(data.recipe)
    if not old or data.recipe["root"] == data.root:
        return excerpt

    def moved(_: str, node: Any) -> Any:
        inside = isinstance(node, str) and (node == old or node.startswith(f"{old}/"))
        return new + node[len(old) :] if inside else node

    return dict(replace(excerpt, moved))


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
