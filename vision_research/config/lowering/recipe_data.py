"""Lowers a zoo file's own data: its data sets, loaders and evaluators, with what was typed laid over them."""

from __future__ import annotations

from typing import Any

from vision_research.config.dataset_tree import join
from vision_research.config.errors import ConfigError
from vision_research.config.lowering.frames import test_frame, train_frame
from vision_research.config.lowering.inputs import LoweringInputs
from vision_research.config.lowering.tuples import words_of
from vision_research.config.schema import DataConfig, TrainConfig


def lower_recipe_data(config: TrainConfig, inputs: LoweringInputs) -> dict[str, Any]:
    """Return the loaders and evaluators that the zoo file names.

    Raises:
        ConfigError: the file's data sets do not fit what another file does to their images.
    """
    words = recipe_data(config.data)
    lowered = {key: words[key] for key in words if key.endswith("_evaluator")}
    for split in ("train", "val", "test"):
        if words.get(f"{split}_dataloader") is None:
            lowered |= {f"{split}_dataloader": None} if f"{split}_dataloader" in words else {}
            continue
        frame = train_frame(config, inputs) if split == "train" else test_frame(config, split)
        loader = _typed_loader(words[f"{split}_dataloader"], config.data, split)
        lowered[f"{split}_dataloader"] = {**loader, "dataset": _filled(frame, words[split], config, split)}
    return lowered


def recipe_data(data: DataConfig) -> dict[str, Any]:
    """Return the words of the file, with `data.root` in the place of its own root."""
    assert data.recipe is not None
    old, new = data.recipe["root"], data.root
    words = words_of(data.recipe)
    return words if old == new else dict(_moved(words, old.rstrip("/"), new.rstrip("/")))


def _moved(node: Any, old: str, new: str) -> Any:
    if isinstance(node, dict):
        return {key: _moved(value, old, new) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_moved(item, old, new) for item in node)
    if isinstance(node, str) and old and (node == old or node.startswith(f"{old}/")):
        return new + node[len(old) :]
    return node


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
        # It composes batches of several sources, and counts by itself where one ends.
        changed["sampler"] = {**sampler, "batch_size": batch_size}
    return {**loader, **changed}


def _filled(frame: dict[str, Any], datasets: list[dict[str, Any]], config: TrainConfig, split: str) -> dict[str, Any]:
    limit = config.data.limit_train if split == "train" else config.data.limit_val
    shortened = [{**dataset, **({} if limit is None else {"indices": limit})} for dataset in datasets]
    try:
        return join(frame, shortened)
    except ValueError as error:
        assert config.data.recipe is not None and config.aug.recipe is not None
        raise ConfigError(
            f"aug=zoo/{config.aug.recipe['zoo']} with data=zoo/{config.data.recipe['zoo']}: {error} ({split}). Type "
            f"aug=zoo/{config.data.recipe['zoo']}, or an option without zoo/"
        ) from error
