"""The feed of panoptic maps: the class of every pixel, in addition to the boxes and masks of things.

Panoptic detectors are trained and scored on them; semantic branches of other detectors are trained on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vision_research.config.addresses import join
from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataConfig
from vision_research.config.traits import DetectorTraits
from vision_research.config.tree import kind_of, value_at
from vision_research.datasets.facts import DatasetFacts
from vision_research.datasets.image_files import missing_path_problem
from vision_research.datasets.panoptic_files import MAP_KEYS, map_folder, map_names, panoptic_ann
from vision_research.protocols import DataFile, Feed, LoweringRun, RunConfig, Step
from vision_research.storage.s3.path import as_path

EVERY_PIXEL = "a map of classes for every pixel"
TYPE_MAPS = "data.train_panoptic=FILE.json data.val_panoptic=FILE.json"
PLAIN = {"type": "LoadAnnotations", "with_bbox": True}


class Maps(Feed):
    """Panoptic maps in COCO's format."""

    name = "maps"
    needs = {"LoadPanopticAnnotations": "panoptic annotations", "with_seg=": EVERY_PIXEL}
    modules = ("vision_research.feeds.maps.transform",)

    def claims(self, traits: DetectorTraits, data: DataConfig) -> bool:
        """Claim every run on data with maps, since the classes of its data include stuff."""
        return data.train_panoptic is not None

    def problems(self, run: RunConfig) -> Iterator[str]:
        """Name a detector that needs maps on data without maps, and data with maps of one split only."""
        data, model = run.data, run.config.model
        if (data.train_panoptic is None) != (data.val_panoptic is None):
            train, val = (value or "null" for value in (data.train_panoptic, data.val_panoptic))
            yield (
                f"data.train_panoptic={train} and data.val_panoptic={val}: what is trained on maps is scored on maps. "
                "Type both, or neither"
            )
        if data.train_panoptic is not None or data.uses_zoo_file:
            return
        if value_at(model, "semantic_head") is not None:
            yield (
                f"model.semantic_head: model={model['type']} needs {EVERY_PIXEL}, and data={data.kind.value} has "
                f"none. Type data=digits_panoptic, or {TYPE_MAPS}"
            )
        if value_at(model, "roi_head.semantic_head") is not None:
            yield (
                f"model.roi_head.semantic_head: needs {EVERY_PIXEL}, and data={data.kind.value} has none. Type "
                "model.roi_head.semantic_head=null model.roi_head.semantic_roi_extractor=null to train without, or "
                f"{TYPE_MAPS}"
            )

    def look(self, data: DataConfig, facts: DatasetFacts) -> DatasetFacts:
        """Read the stuff classes of the maps."""
        maps = {key: getattr(data, key) for split, key in MAP_KEYS.items() if split in facts.counts}
        files = {f"data.{key}": as_path(join(data.root, ann)) for key, ann in maps.items() if ann is not None}
        return replace(facts, stuff=stuff_of(files, facts.classes)) if files else facts

    def files(self, data: DataConfig) -> Iterator[DataFile]:
        """List the panoptic JSON files with their maps."""
        for key in MAP_KEYS.values():
            if (ann := getattr(data, key)) is not None:
                yield DataFile(f"data.{key}", ann, map_folder(ann), map_names)

    def step(self, step: Step, run: RunConfig, split: str) -> Step:
        """Load the map in place of the annotations, for training; in an evaluation the metric reads it."""
        kind = kind_of(step)
        if kind not in ("LoadAnnotations", "LoadPanopticAnnotations") or run.data.uses_zoo_file:
            return step
        if split == "train" and run.traits.learns_from_maps:
            assert run.data.train_panoptic is not None
            backend = run.config.storage.backend_args(join(run.data.root, run.data.train_panoptic))
            loads = {"with_bbox": True, "with_mask": True, "with_seg": True}
            return {"type": "LoadPanopticMap", **loads, "backend_args": backend}
        # The metric of panoptic quality reads the maps itself.
        is_plain = kind == "LoadPanopticAnnotations" or (split != "train" and run.traits.is_panoptic)
        return dict(PLAIN) if is_plain else step

    def datasets(self, datasets: list[dict[str, Any]], run: LoweringRun, split: str) -> list[dict[str, Any]]:
        """Replace a data set of boxes by one with maps, where they are read."""
        reads = run.traits.learns_from_maps if split == "train" else run.traits.is_panoptic
        if not reads:
            return datasets
        ann = panoptic_ann(run.data, split)
        classes = {"classes": (*run.inputs.classes, *run.inputs.stuff), "thing_classes": run.inputs.classes}
        maps = {
            "type": "CocoPanopticDataset",
            "ann_file": ann,
            "metainfo": {**classes, "stuff_classes": run.inputs.stuff},
        }
        first, *others = datasets
        prefix = {**first["data_prefix"], "seg": f"{map_folder(ann)}/"}
        return [{**first, **maps, "data_prefix": prefix}, *others]


def stuff_of(ann_files: dict[str, Path], things: Sequence[str]) -> tuple[str, ...]:
    """Return the stuff classes of panoptic annotations in the order of their labels.

    Args:
        ann_files: panoptic JSON by config key, with that of training first.
        things: the classes of the boxes; the first categories of each file must be the same, in the same order.

    Raises:
        ConfigError: a file is missing, has another format, or has other classes.
    """
    found: dict[str, tuple[str, ...]] = {}
    problems: list[str] = []
    for key, file in ann_files.items():
        try:
            found[key] = _stuff(key, file, things)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    first = next(iter(found))
    for key, names in found.items():
        if names != found[first]:
            raise ConfigError(
                f"{key}={ann_files[key]}: its stuff is {', '.join(names)}, and that of {first} is "
                f"{', '.join(found[first])}. Write the same 'categories' list into both files"
            )
    return found[first]


def _stuff(key: str, file: Path, things: Sequence[str]) -> tuple[str, ...]:
    if not file.is_file():
        raise ConfigError(missing_path_problem(key, file, "file", None))
    try:
        tree: dict[str, Any] = json.loads(file.read_bytes())
        categories = [(str(category["name"]), bool(category["isthing"])) for category in tree["categories"]]
        maps = [(annotation["file_name"], annotation["segments_info"]) for annotation in tree["annotations"][:1]]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{key}={file}: is no COCO panoptic JSON ({type(error).__name__}: {error}): it has 'categories' with "
            f"'isthing', and 'annotations' with 'file_name' and 'segments_info'. Type {key}=FILE.json"
        ) from error
    names = [name for name, is_thing in categories if is_thing]
    if names != list(things) or any(is_thing for _, is_thing in categories[len(names) :]):
        raise ConfigError(
            f"{key}={file}: its things are {', '.join(names)}, those of the boxes are {', '.join(things)}. Both files "
            "name the same things in the same order, in the map before all stuff; data.classes=null takes all of them"
        )
    folder = file.with_suffix("")
    absent = [name for name, _ in maps if not (folder / name).is_file()]
    if absent:
        raise ConfigError(f"{key}={file}: its maps belong into {folder}, and {absent[0]} is not there")
    return tuple(name for name, is_thing in categories if not is_thing)
