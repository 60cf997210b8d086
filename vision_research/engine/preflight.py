"""Preflight: every `type` of a lowered config is registered, everything builds, and one sample loads.

It runs in the parent, before a rank or a GPU is touched, and leaves nothing behind.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vision_research.config.errors import ConfigError
from vision_research.engine.backbone_stages import stage_problems
from vision_research.engine.extras import missing_extras
from vision_research.engine.language import unread_model, unread_names
from vision_research.engine.weights_report import weights_report

logger = logging.getLogger(__name__)

# An initializer is looked up when weights are initialized, among names that no registry lists.
SKIPPED_KEYS = ("init_cfg",)


def preflight(config: dict[str, Any]) -> Any:
    """Check a lowered config against what is installed.

    Args:
        config: the MMEngine config as a plain tree.

    Returns:
        The detector, built without its weights.

    Raises:
        ConfigError: names every `type` that is not registered; or the first part that does not build, and why.
    """
    register_types(config)
    detector, problems = _build_model(config)
    if problems := unknown_types(config) + problems:
        raise ConfigError(problems)
    _build_data(config)
    return detector


def register_types(config: dict[str, Any]) -> None:
    """Register MMDetection's types and ours, and those of `aug.imports`.

    Raises:
        ConfigError: a package that a type needs is not installed, or a module cannot be imported.
    """
    if absent := missing_extras(config):
        raise ConfigError(absent)
    _register_everything(config)


def unknown_types(config: dict[str, Any]) -> list[str]:
    """Name every `type` outside of the model that no registry has, with the nearest ones."""
    return list(_unknown_types({key: part for key, part in config.items() if key != "model"}, ""))


def _register_everything(config: dict[str, Any]) -> None:
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


def _unknown_types(node: Any, path: str) -> Iterator[str]:
    if isinstance(node, dict):
        kind = node.get("type")
        if isinstance(kind, str) and path.rpartition(".")[2] not in SKIPPED_KEYS and not _is_registered(kind):
            yield f"{path}.type={kind}: no such type is registered.{_nearest(kind)}"
        for key, value in node.items():
            if key not in ("custom_imports", "env_cfg", "metainfo"):
                yield from _unknown_types(value, f"{path}.{key}" if path else key)
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _unknown_types(value, f"{path}[{index}]")


def _registries() -> list[Any]:
    from mmdet import registry
    from mmengine.registry import Registry

    return [value for value in vars(registry).values() if isinstance(value, Registry)]


def _is_registered(kind: str) -> bool:
    """Tell whether MMEngine finds a type, or MMDetection does by name among mmcv's ops (`RoIAlign`, `nms`)."""
    import mmcv.ops

    # A registry that does not know a name logs nothing and returns None.
    return hasattr(mmcv.ops, kind) or any(registry.get(kind) is not None for registry in _registries())


def _nearest(kind: str) -> str:
    names = {name for registry in _registries() for name in _all_names(registry)}
    near = difflib.get_close_matches(kind, names, n=3, cutoff=0.6)
    return f" Did you mean {', '.join(near)}?" if near else " Import the module that registers it: aug.imports=[MODULE]"


def _all_names(registry: Any) -> Iterator[str]:
    while registry is not None:
        yield from registry.module_dict
        registry = registry.parent


def _build_model(config: dict[str, Any]) -> tuple[Any, list[str]]:
    """Build the detector and compare it with the weights that it starts from; return it, and what is wrong.

    Its types are looked at only then: some detectors have words of their own under `type` that no registry lists.
    """
    from mmdet.registry import MODELS
    from mmengine.config import ConfigDict

    model = config["model"]
    try:
        with _without_chatter():
            detector = MODELS.build(ConfigDict(model))
    except Exception as error:
        unread = unread_model(model, error, _being_built(error))
        return None, list(_unknown_types(model, "model")) or unread or [_explained("model", error)]
    if config.get("load_from"):
        # A zoo file's own data set may leave its classes to its type.
        dataset = (config.get("val_dataloader") or {}).get("dataset") or {}
        classes = tuple((dataset.get("metainfo") or {}).get("classes") or ())
        logger.info("%s", weights_report(detector, config["load_from"], classes))
    return detector, [*unread_names(detector, config), *stage_problems(detector, model)]


def build_dataset(config: dict[str, Any], split: str) -> Any:
    """Build the data set of a loader, with its wrappers and pipelines.

    Args:
        config: a lowered config, whose types are registered.
        split: `train`, `val` or `test`.

    Raises:
        ConfigError: it does not build, and why; or no image is left to train on.
    """
    from mmdet.registry import DATASETS
    from mmengine.config import ConfigDict

    path = f"{split}_dataloader.dataset"
    with _explaining(path), _without_chatter():
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
    with _explaining("val_evaluator"), _without_chatter():
        for metric in metrics if isinstance(metrics, list) else [metrics]:
            METRICS.build(ConfigDict(metric))
    dataset = build_dataset(config, "train")
    with _explaining("train_dataloader.dataset"), _without_chatter():
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
    """Name the innermost part that was being built; MMEngine says it for some errors only."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        part = trace.tb_frame.f_locals.get("cfg")
        if trace.tb_frame.f_code.co_name == "build_from_cfg" and isinstance(part, dict) and "type" in part:
            found = f" (while building {part['type']})"
        trace = trace.tb_next
    return found


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep what MMEngine logs while building out of the way."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
