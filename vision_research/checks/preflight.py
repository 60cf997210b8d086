"""Preflight: checks that all types of a lowered config are registered, everything builds, and a sample loads.

It runs in the parent process, before a rank starts or a GPU is used, and writes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vision_research.checks.backbone_stages import stage_problems
from vision_research.checks.extras import missing_extras
from vision_research.checks.operators import refused_operators
from vision_research.config.errors import ConfigError
from vision_research.config.hints import did_you_mean
from vision_research.config.tree import typed_dicts
from vision_research.detectors.weights_report import weights_report
from vision_research.registry import FEEDS

logger = logging.getLogger(__name__)

# Parts of a config without types.
UNTYPED_KEYS = {"custom_imports", "env_cfg", "metainfo"}


def preflight(config: dict[str, Any]) -> Any:
    """Build the training data and the detector of a lowered config; return the detector, which has no weights yet.

    Raises:
        ConfigError: all types that are not registered, or the first part that cannot be built, and why.
    """
    register_types(config)
    detector, problems = _build_model(config)
    if problems := unknown_types(config) + problems:
        raise ConfigError(problems)
    _build_data(config)
    return detector


def register_types(config: dict[str, Any]) -> None:
    """Register the types of MMDetection, of this project and of `aug.imports`.

    Raises:
        ConfigError: a package that a type needs is missing, or a module cannot be imported.
    """
    if absent := missing_extras(config):
        raise ConfigError(absent)
    from mmdet.utils import register_all_modules
    from mmengine.utils import import_modules_from_strings

    register_all_modules(init_default_scope=True)
    try:
        import_modules_from_strings(**config["custom_imports"])
    except ImportError as error:
        raise ConfigError(
            f"aug.imports={config['custom_imports']['imports'][1:]}: {error}. The module has to be importable: "
            "python -c 'import MODULE' has to work"
        ) from error


def unknown_types(config: dict[str, Any]) -> list[str]:
    """Name every unregistered `type` outside of the model, with the nearest registered ones."""
    return list(_unknown_types({key: part for key, part in config.items() if key != "model"}, ""))


def _unknown_types(tree: Any, path: str) -> Iterator[str]:
    for place, node in typed_dicts(tree, path):
        parts = place.split(".")
        # Initializers are not in the registries that are searched here.
        if parts[-1] != "init_cfg" and not UNTYPED_KEYS & {*parts} and not _is_registered(node["type"]):
            names = {name for registry in _registries() for name in _all_names(registry)}
            hint = did_you_mean(node["type"], names) or " Import the module that registers it: aug.imports=[MODULE]"
            yield f"{place}.type={node['type']}: no such type is registered.{hint}"


def _registries() -> list[Any]:
    from mmdet import registry
    from mmengine.registry import Registry

    return [value for value in vars(registry).values() if isinstance(value, Registry)]


def _is_registered(kind: str) -> bool:
    """Return whether a type is registered, or the name of an mmcv op (`RoIAlign`, `nms`)."""
    import mmcv.ops

    # Registry.get returns None for an unknown name.
    return hasattr(mmcv.ops, kind) or any(registry.get(kind) is not None for registry in _registries())


def _all_names(registry: Any) -> Iterator[str]:
    while registry is not None:
        yield from registry.module_dict
        registry = registry.parent


def _build_model(config: dict[str, Any]) -> tuple[Any, list[str]]:
    """Build the detector and compare it with its initial weights; return the detector and the problems.

    Its types are checked only if this fails, since some detectors use `type` for values that are not registered.
    """
    from mmdet.registry import MODELS
    from mmengine.config import ConfigDict

    model = config["model"]
    try:
        with _quiet():
            detector = MODELS.build(ConfigDict(model))
    except Exception as error:
        known = [text for feed in FEEDS for text in feed.explain_build(model, error, _being_built(error))]
        return None, list(_unknown_types(model, "model")) or known or [_explained("model", error)]
    if config.get("load_from"):
        # A data set of a zoo file may have the classes of its type, and none in the config.
        dataset = (config.get("val_dataloader") or {}).get("dataset") or {}
        classes = tuple((dataset.get("metainfo") or {}).get("classes") or ())
        logger.info("%s", weights_report(detector, config["load_from"], classes))
    unfit = [problem for feed in FEEDS for problem in feed.unfit(detector, config)]
    return detector, [*unfit, *stage_problems(detector, model), *refused_operators(detector, model)]


def build_dataset(config: dict[str, Any], split: str) -> Any:
    """Build the data set of a loader, with its wrappers and pipelines.

    Args:
        config: a lowered config, whose types are registered.
        split: `train`, `val` or `test`.

    Raises:
        ConfigError: it cannot be built, or contains no training image.
    """
    from mmdet.registry import DATASETS
    from mmengine.config import ConfigDict

    path = f"{split}_dataloader.dataset"
    with _explaining(path), _quiet():
        dataset = DATASETS.build(ConfigDict(config[f"{split}_dataloader"]["dataset"]))
    if split == "train" and len(dataset) == 0:
        raise ConfigError(
            "data.train_ann: no training image is left: all are without boxes of the classes "
            f"{list(dataset.metainfo['classes'])}. Type data.keep_empty=true to train on images without boxes"
        )
    return dataset


def _build_data(config: dict[str, Any]) -> None:
    from mmdet.registry import METRICS
    from mmengine.config import ConfigDict

    metrics = config["val_evaluator"]
    with _explaining("val_evaluator"), _quiet():
        for metric in metrics if isinstance(metrics, list) else [metrics]:
            METRICS.build(ConfigDict(metric))
    dataset = build_dataset(config, "train")
    with _explaining("train_dataloader.dataset"), _quiet():
        dataset[0]


@contextmanager
def _explaining(path: str) -> Iterator[None]:
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(_explained(path, error)) from error


def _explained(path: str, error: BaseException) -> str:
    return f"{path}: {type(error).__name__}: {error}{_being_built(error)}"


def _being_built(error: BaseException) -> str:
    """Name the innermost part that was being built, which MMEngine reports for some errors only."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        part = trace.tb_frame.f_locals.get("cfg")
        if trace.tb_frame.f_code.co_name == "build_from_cfg" and isinstance(part, dict) and "type" in part:
            found = f" (while building {part['type']})"
        trace = trace.tb_next
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress what MMEngine logs while building."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
