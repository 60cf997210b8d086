"""Which images a command on a finished run looks at: those of the run, or others that were typed in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from vision_research.config.addresses import join
from vision_research.config.errors import ConfigError
from vision_research.config.lowering.data import evaluation_dataset, evaluation_metric
from vision_research.config.schema import DataConfig, DataKind, StorageConfig
from vision_research.config.splits import split_with_files
from vision_research.datasets.coco_json import AnnotationReport, inspect_coco
from vision_research.datasets.image_files import missing_path_problem
from vision_research.datasets.voc import inspect_voc
from vision_research.storage.s3.path import as_path

WHERE_DATA = "Type data=coco data.root=FOLDER data.val_ann=FILE data.img_prefix=FOLDER"


@dataclass(frozen=True)
class EvaluationData:
    """A split that can be evaluated.

    Attributes:
        dataset: MMDetection data set, without a pipeline.
        metric: config of the metric that scores it.
        split: `val` or `test`: what the images are, whatever was asked for.
    """

    dataset: dict[str, Any]
    metric: dict[str, Any]
    split: str


def typed_data(overrides: Any, run_data: Mapping[str, Any]) -> DataConfig | None:
    """Lay what was typed over the data of a run.

    Args:
        overrides: `DataOverrides`; null is not typed.
        run_data: the `data` group that the run was trained with; empty for a bare checkpoint.

    Returns:
        The data; None where nothing was typed.

    Raises:
        ConfigError: neither the words nor the run say where the data lies.
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
    """Make a split of data that was typed, after a look at its files.

    Args:
        data: where it lies.
        storage: how S3 is reached.
        classes: of the detector, in the order of its labels.
        split: `val` or `test`; without a test split that is the validation split.
        metric: what the run is scored by: `bbox`, or a list with `segm` in it.

    Raises:
        ConfigError: files are missing or broken, or the classes are others.
    """
    actual = split_with_files(data, split)
    root = as_path(data.root)
    if not root.is_dir():
        raise ConfigError(missing_path_problem("data.root", root, "folder", Path.cwd()))
    report = _inspect(data, root, actual)
    if report.problems:
        raise ConfigError(list(report.problems))
    names = tuple(data.classes) if data.classes else report.classes
    # A Pascal VOC folder has no list of classes: one may be missing from a split without a mistake.
    is_other = set(names) - set(classes) if data.kind is DataKind.voc else set(names) ^ set(classes)
    if is_other:
        raise ConfigError(
            f"{report.key}={report.ann_file}: its classes are {', '.join(names)}; those of the detector are "
            f"{', '.join(classes)}. Evaluate it on data of its own classes"
        )
    dataset = evaluation_dataset(data, storage, tuple(classes), actual)
    return EvaluationData(
        dataset, evaluation_metric(data, storage, actual, ["bbox", "segm"] if "segm" in metric else "bbox"), actual
    )


def split_of_config(config: Any, path: Path, split: str) -> EvaluationData:
    """Take a split of the data that a config names.

    Args:
        config: an `mmengine.Config`.
        path: its file.
        split: `val` or `test`; where both have the same annotations, that is the validation split.

    Raises:
        ConfigError: it names none, or its files are not on this machine.
    """
    actual = evaluated_split(config, path, split)
    loader = config[f"{actual}_dataloader"]
    dataset = {key: value for key, value in loader.dataset.to_dict().items() if key != "pipeline"}
    own = config.get(f"{actual}_evaluator") or {}
    own = own[0] if isinstance(own, list) else own
    metric = {"type": "CocoDetectionMetric", "ann_file": own.get("ann_file"), "metric": metric_of(config)}
    return EvaluationData(dataset, {**metric, "classwise": True}, actual)


def evaluated_split(config: Any, path: Path, split: str) -> str:
    """Return the split whose images stand for one that was asked for.

    Args:
        config: an `mmengine.Config`.
        path: its file.
        split: `val` or `test`; where both have the same annotations, that is the validation split.

    Raises:
        ConfigError: the config names no data, or its files are not on this machine.
    """
    has_test = _ann_file(config, "test") not in (None, _ann_file(config, "val"))
    actual = "test" if split == "test" and has_test else "val"
    if not config.get(f"{actual}_dataloader"):
        raise ConfigError(f"{path} names no validation data. {WHERE_DATA}")
    ann_file = _ann_file(config, actual)
    if ann_file is None or not ann_file.is_file():
        raise ConfigError(f"{path}: its {actual} data is not on this machine ({ann_file}). {WHERE_DATA}")
    return actual


def metric_of(config: Any) -> Any:
    """Return what a config's validation is scored by: `bbox`, or `[bbox, segm]`."""
    own = config.get("val_evaluator") or {}
    own = own[0] if isinstance(own, list) else own
    wanted = own.get("metric", "bbox")
    known = [name for name in ([wanted] if isinstance(wanted, str) else list(wanted)) if name in ("bbox", "segm")]
    return known or "bbox"


def classes_of(config: Any) -> tuple[str, ...]:
    """Return the class names of a config, in the order of the labels; empty where it does not tell."""
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


def _inspect(data: DataConfig, root: Path, split: str) -> AnnotationReport:
    own = getattr(data, f"{split}_prefix")
    img_root = as_path(join(str(root), data.img_prefix if own is None else own))
    key, prefix_key = f"data.{split}_ann", "data.img_prefix" if own is None else f"data.{split}_prefix"
    ann_file = as_path(join(str(root), getattr(data, f"{split}_ann")))
    if data.kind is DataKind.voc:
        return inspect_voc(ann_file, root, img_root, key=key, prefix_key=prefix_key)
    return inspect_coco(ann_file, img_root, key=key, prefix_key=prefix_key, root=root)


def _ann_file(config: Any, split: str) -> Path | None:
    loader = config.get(f"{split}_dataloader")
    if not loader or not loader.dataset.get("ann_file"):
        return None
    return as_path(join(loader.dataset.get("data_root") or "", loader.dataset.ann_file))
