"""Finds knobs that were typed and that nothing would read in this combination: they are refused, never ignored."""

from __future__ import annotations

from collections.abc import Iterator

from vision_research.config.needs import steps
from vision_research.config.recipe import FLIPS
from vision_research.config.schema import AugConfig, DataConfig, DataKind, TrainConfig

# Of a file's own data sets; what is read there is what loaders are made of.
OF_OUR_DATA_SETS = (
    "test_ann",
    "img_prefix",
    "train_prefix",
    "val_prefix",
    "test_prefix",
    "classes",
    "repeat",
    "oversample_thr",
    "train_proposals",
    "val_proposals",
    "test_proposals",
    "unlabelled_ann",
    "unlabelled_prefix",
    "source_ratio",
    "keep_empty",
    "strict",
)


def unread_knobs(config: TrainConfig) -> Iterator[str]:
    """Name every such knob with what to type in its place."""
    yield from _of_data(config)
    yield from _of_stages(config)
    yield from _of_flips(config)


def _of_data(config: TrainConfig) -> Iterator[str]:
    if config.data.kind is not DataKind.zoo or config.data.recipe is None:
        return
    zoo = config.data.recipe["zoo"]
    # Images that do not decode are passed over by our loading alone.
    ours = ("max_bad_images",) if config.aug.recipe is not None else ()
    unset = vars(DataConfig(train_ann="", val_ann=""))
    for name in ("train_ann", "val_ann", *OF_OUR_DATA_SETS, *ours):
        value = getattr(config.data, name)
        if value != unset[name]:
            yield (
                f"data.{name}={value}: is not read with data=zoo/{zoo}, whose data sets say it themselves. Change "
                "those under data.recipe.train.0, or type data=coco data.root=FOLDER data.train_ann=... for your own"
            )


def has_weak_stage(aug: AugConfig) -> bool:
    """Tell whether there is a weak pipeline for the end of training."""
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
    if not any(step.get("type") in FLIPS and step.get("prob") == prob for _, step in steps(tree, "")):
        yield (
            f"data.flip_prob={prob}: no step of aug.{name} mirrors images with it. Type aug=flip, or the prob of the "
            "step itself"
        )
