"""Chooses the data that a command on a finished run reads: that of the run, or the one of its `data` keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from vision_research.config.addresses import join
from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataConfig, DataKind, StorageConfig
from vision_research.datasets.formats import detection_dataset, detection_metric, split_files
from vision_research.datasets.image_files import missing_path_problem
from vision_research.storage.s3.path import as_path

WHERE_DATA = "Type data=coco data.root=FOLDER data.val_ann=FILE data.img_prefix=FOLDER"


@dataclass(frozen=True)
class EvaluationData:
    """The data of a split.

    Attributes:
        dataset: config of an MMDetection data set, without a pipeline.
        metric: config of its metric.
        split: `val` or `test`: the split that is read, which may differ from the requested one.
    """

    dataset: dict[str, Any]
    metric: dict[str, Any]
    split: str


def typed_data(overrides: Any, run_data: Mapping[str, Any]) -> DataConfig | None:
    """Merge the `data` keys of a command with the `data` group of a run.

    Args:
        overrides: `DataOverrides`; None means not set.
        run_data: the `data` group that the run was trained with; empty for a bare checkpoint.

    Returns:
        The data; None where no key is set.

    Raises:
        ConfigError: a mandatory key is set neither in the command nor in the run.
    """
    typed = {name: value for name, value in vars(overrides).items() if value is not None}
    if not typed:
        return None
    merged = {**run_data, **typed}
    needed = [key.name for key in fields(DataConfig) if key.default == "???"]
    lacking = [name for name in needed if merged.get(name) is None and name != "train_ann"]
    if lacking:
        raise ConfigError([f"data.{name} is not set. Type data.{name}=VALUE" for name in lacking])
    merged["kind"] = DataKind[getattr(merged.get("kind", "coco"), "name", str(merged.get("kind", "coco")))]
    known = {key.name for key in fields(DataConfig)}
    return DataConfig(**{"train_ann": "", **{name: value for name, value in merged.items() if name in known}})


def split_of_typed(
    data: DataConfig, storage: StorageConfig, classes: Sequence[str], split: str, metric: Any
) -> EvaluationData:
    """Return a split of the data of a command, after checking its files.

    Args:
        data: the `data` group.
        storage: how S3 is reached.
        classes: of the detector, in the order of its labels.
        split: `val` or `test`; without a test split, `test` is the validation split.
        metric: of the run: `bbox`, or a list that may contain `segm`.

    Raises:
        ConfigError: files are missing or broken, or the classes differ.
    """
    files = split_files(data, split)
    root = as_path(data.root)
    if not root.is_dir():
        raise ConfigError(missing_path_problem("data.root", root, "folder", Path.cwd()))
    report = files.inspect(root)
    if report.problems:
        raise ConfigError(list(report.problems))
    names = tuple(data.classes) if data.classes else report.classes
    # A file that lists only the classes that occur in it may lack some of the detector's.
    is_other = set(names) ^ set(classes) if files.format.lists_classes else set(names) - set(classes)
    if is_other:
        raise ConfigError(
            f"{report.key}={report.ann_file}: its classes are {', '.join(names)}; those of the detector are "
            f"{', '.join(classes)}. Evaluate it on data of its own classes"
        )
    scores: str | list[str] = ["bbox", "segm"] if "segm" in metric else "bbox"
    return EvaluationData(
        detection_dataset(data, storage, tuple(classes), files.name),
        detection_metric(data, storage, files.name, scores),
        files.name,
    )


def split_of_config(config: Any, path: Path, split: str) -> EvaluationData:
    """Return a split of the data in an MMEngine config.

    Args:
        config: an `mmengine.Config`.
        path: its file.
        split: `val` or `test`; where both have the same annotations, `test` is the validation split.

    Raises:
        ConfigError: the config has no such data, or its files are not found.
    """
    actual = _evaluated_split(config, path, split)
    loader = config[f"{actual}_dataloader"]
    dataset = {key: value for key, value in loader.dataset.to_dict().items() if key != "pipeline"}
    ann_file = _evaluator(config, actual).get("ann_file")
    metric = {"type": "CocoDetectionMetric", "ann_file": ann_file, "metric": metric_of(config)}
    return EvaluationData(dataset, {**metric, "classwise": True}, actual)


def _evaluated_split(config: Any, path: Path, split: str) -> str:
    """Return the split that is read for a requested one."""
    has_test = _ann_file(config, "test") not in (None, _ann_file(config, "val"))
    actual = "test" if split == "test" and has_test else "val"
    if not config.get(f"{actual}_dataloader"):
        raise ConfigError(f"{path} names no validation data. {WHERE_DATA}")
    ann_file = _ann_file(config, actual)
    if ann_file is None or not ann_file.is_file():
        raise ConfigError(f"{path}: its {actual} data is not on this machine ({ann_file}). {WHERE_DATA}")
    return actual


def metric_of(config: Any) -> Any:
    """Return the metrics of a config's validation among `bbox` and `segm`."""
    wanted = _evaluator(config, "val").get("metric", "bbox")
    known = [name for name in ([wanted] if isinstance(wanted, str) else list(wanted)) if name in ("bbox", "segm")]
    return known or "bbox"


def _evaluator(config: Any, split: str) -> Any:
    own = config.get(f"{split}_evaluator") or {}
    return own[0] if isinstance(own, list) else own


def classes_of(config: Any) -> tuple[str, ...]:
    """Return the class names of a config, in the order of the labels; empty where they are not known."""
    loader = config.get("val_dataloader") or config.get("test_dataloader") or config.get("train_dataloader")
    if not loader:
        return ()
    dataset = loader.dataset
    if names := (dataset.get("metainfo") or {}).get("classes"):
        return (names,) if isinstance(names, str) else tuple(names)
    from mmdet.registry import DATASETS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=True)
    return tuple(DATASETS.get(dataset.type).METAINFO.get("classes", ()))


def _ann_file(config: Any, split: str) -> Path | None:
    loader = config.get(f"{split}_dataloader")
    if not loader or not loader.dataset.get("ann_file"):
        return None
    return as_path(join(loader.dataset.get("data_root") or "", loader.dataset.ann_file))
