"""The feed of panoptic maps: the class of every pixel, in addition to the boxes and masks of things.

Panoptic detectors are trained and scored on them; semantic branches of other detectors are trained on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from vision_research.config.addresses import join
from vision_research.config.schema import DataConfig
from vision_research.config.storage_args import backend_args
from vision_research.config.traits import DetectorTraits
from vision_research.config.tree import kind_of, value_at
from vision_research.datasets.facts import DatasetFacts
from vision_research.datasets.panoptic_files import MAP_KEYS, map_folder, map_names, panoptic_ann
from vision_research.feeds.maps.look import stuff_of
from vision_research.protocols.feed import Feed
from vision_research.protocols.files import DataFile
from vision_research.protocols.inputs import LoweringInputs
from vision_research.protocols.part import Step
from vision_research.protocols.run_config import RunConfig
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
            return _map_step(run)
        # The metric of panoptic quality reads the maps itself.
        is_plain = kind == "LoadPanopticAnnotations" or (split != "train" and run.traits.is_panoptic)
        return dict(PLAIN) if is_plain else step

    def datasets(
        self, datasets: list[dict[str, Any]], run: RunConfig, inputs: LoweringInputs, split: str
    ) -> list[dict[str, Any]]:
        """Replace a data set of boxes by one with maps, where they are read."""
        reads = run.traits.learns_from_maps if split == "train" else run.traits.is_panoptic
        if not reads:
            return datasets
        ann = panoptic_ann(run.data, split)
        classes = {"classes": (*inputs.classes, *inputs.stuff), "thing_classes": inputs.classes}
        maps = {
            "type": "CocoPanopticDataset",
            "ann_file": ann,
            "metainfo": {**classes, "stuff_classes": inputs.stuff},
        }
        first, *others = datasets
        prefix = {**first["data_prefix"], "seg": f"{map_folder(ann)}/"}
        return [{**first, **maps, "data_prefix": prefix}, *others]


def _map_step(run: RunConfig) -> Step:
    assert run.data.train_panoptic is not None
    backend = backend_args(run.config.storage, join(run.data.root, run.data.train_panoptic))
    return {"type": "LoadPanopticMap", "with_bbox": True, "with_mask": True, "with_seg": True, "backend_args": backend}
