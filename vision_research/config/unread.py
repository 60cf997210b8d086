"""Refuses keys that were set and that this combination of options would ignore."""

from __future__ import annotations

from collections.abc import Iterator

from vision_research.config.recipe import FLIPS
from vision_research.config.schema import AugConfig, DataConfig, TrainConfig
from vision_research.config.tree import typed_dicts

# Keys of the `data` group that are read with the data sets of a zoo file too.
READ_WITH_ZOO_DATA = frozenset(
    {
        "kind",
        "root",
        "batch_size",
        "val_batch_size",
        "num_workers",
        "persistent_workers",
        "limit_train",
        "limit_val",
        "image_size",
        "flip_prob",
        "default_weights",
        "recipe",
    }
)


def unread_keys(config: TrainConfig) -> Iterator[str]:
    """Name every such key with what to type in its place."""
    yield from _of_data(config)
    yield from _of_stages(config)
    yield from _of_flips(config)


def _of_data(config: TrainConfig) -> Iterator[str]:
    if config.data.recipe is None:
        return
    zoo = config.data.recipe["zoo"]
    # Only our own pipelines skip images that do not decode.
    read = READ_WITH_ZOO_DATA | ({"max_bad_images"} if config.aug.recipe is None else set())
    for name, unset in vars(DataConfig(train_ann="", val_ann="")).items():
        value = getattr(config.data, name)
        if name not in read and value != unset:
            yield (
                f"data.{name}={value}: is not read with data=zoo/{zoo}, whose data sets say it themselves. Change "
                "those under data.recipe.train.0, or type data=coco data.root=FOLDER data.train_ann=... for your own"
            )


def has_weak_stage(aug: AugConfig) -> bool:
    """Return whether there is a weak pipeline for the end of training."""
    return aug.final is not None if aug.recipe is None else bool(aug.recipe["hooks"])


def _of_stages(config: TrainConfig) -> Iterator[str]:
    aug = config.aug
    if aug.final_epochs > 0 and not has_weak_stage(aug):
        where = "aug.final is null" if aug.recipe is None else f"aug=zoo/{aug.recipe['zoo']} has no such stage"
        yield (
            f"aug.final_epochs={aug.final_epochs}: {where}, so there is no weak pipeline to end with. "
            "Type aug.final_epochs=0, or an option with one: aug=mosaic_mixup, aug=rtmdet, aug=yolox"
        )


def _of_flips(config: TrainConfig) -> Iterator[str]:
    prob, aug = config.data.flip_prob, config.aug
    if not prob:
        return
    name, tree = ("recipe.train", aug.recipe.get("train")) if aug.recipe is not None else ("train", aug.train)
    if not any(step.get("type") in FLIPS and step.get("prob") == prob for _, step in typed_dicts(tree)):
        yield (
            f"data.flip_prob={prob}: no step of aug.{name} mirrors images with it. Type aug=flip, or the prob of the "
            "step itself"
        )
