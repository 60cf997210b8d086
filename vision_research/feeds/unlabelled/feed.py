"""The feed of unlabelled images: every batch of a teacher and a student contains labelled and unlabelled images.

An epoch contains each labelled image once. Teacher and student are both validated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from vision_research.config.addresses import absolute, join
from vision_research.config.schema import DataConfig
from vision_research.config.traits import DetectorTraits
from vision_research.config.tree import kind_of
from vision_research.datasets.annotation_format import SplitFiles
from vision_research.datasets.coco.entries import Images
from vision_research.datasets.coco.format import Coco
from vision_research.datasets.coco.inspection import describe_no_json
from vision_research.datasets.image_files import as_typed, missing_images_problem, missing_path_problem
from vision_research.datasets.report import AnnotationReport
from vision_research.feeds.unlabelled.embedded import DIGITS_SEMI
from vision_research.protocols import DataFile, Feed, LoweringRun, RunConfig


class ImageList(Coco):
    """The `images` of a COCO file: COCO's own `image_info_*.json` have no annotations, and some have no categories."""

    def inspect(self, split: SplitFiles, root: Path, strict: bool) -> AnnotationReport:
        """Read the `images`, and list their folders; there are no boxes."""
        ann_file, key = split.ann_file(root), split.key
        report = AnnotationReport(ann_file, key)
        if not ann_file.is_file():
            return replace(report, problems=(missing_path_problem(key, ann_file, "file", root),))
        typed = f"{key}={as_typed(ann_file, root)}: "
        content = ann_file.read_bytes()
        try:
            tree = json.loads(content)
        except (ValueError, RecursionError) as error:
            return replace(report, problems=(typed + describe_no_json(content, error),))
        listed = tree.get("images") if isinstance(tree, dict) else None
        if not isinstance(listed, list):
            wanted = f"Type {key}=FILE.json, a JSON object with the list 'images', as COCO's image_info_*.json"
            return replace(report, problems=(f"{typed}has no list 'images'. {wanted}",))
        images = Images(listed)
        missing = missing_images_problem(
            split.prefix_key, split.image_root(root), list(images.names.values()), ann_file, root
        )
        return replace(
            report,
            num_images=images.count,
            image_names=tuple(images.names.values()),
            digest=hashlib.sha256(content).hexdigest(),
            problems=(*(typed + text for text in images.problems), *missing),
        )

    def dataset(self, images: str) -> dict[str, Any]:
        """Return our UnlabelledDataset."""
        return {"type": "UnlabelledDataset", "data_prefix": {"img": images}}


EXAMPLE = "zoo/soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco"
# Options of `hw` that change the backbone of a detector; a teacher and a student have two.
OF_ONE_BACKBONE = ("channels_last", "compile", "activation_checkpointing")


class Unlabelled(Feed):
    """Images without annotations."""

    name = "unlabelled"
    embedded = DIGITS_SEMI
    modules = ("vision_research.feeds.unlabelled.dataset",)
    validation_loop = "TeacherStudentValLoop"

    def claims(self, traits: DetectorTraits, data: DataConfig) -> bool:
        """Claim runs of semi-supervised detectors."""
        return traits.is_semi_supervised

    def monitor(self, traits: DetectorTraits, monitor: str) -> str:
        """Return the metric of the branch that predicts: teacher or student."""
        return monitor if monitor == "auto" else f"{traits.predicts_on}/{monitor}"

    def problems(self, run: RunConfig) -> Iterator[str]:
        """Name what such a detector lacks, and keys that other detectors do not read."""
        train = run.file_steps
        branches = [path for path, step in train if kind_of(step) == "MultiBranch"]
        if not run.traits.is_semi_supervised:
            yield from _unread(run, branches)
            return
        model, zoo = run.config.model["type"], run.config.model_recipe.get("zoo")
        if not branches:
            yield (
                f"model={model}: its teacher and its student need different augmentations, and this aug has only one "
                f"pipeline. Type aug={EXAMPLE if zoo is None else f'zoo/{zoo}'}"
            )
        yield from _unsupported(run)
        if not run.data.uses_zoo_file:
            yield from _sources(run)

    def splits(self, data: DataConfig) -> tuple[SplitFiles, ...]:
        """Return the file that lists the images."""
        if data.unlabelled_ann is None:
            return ()
        where = (data.unlabelled_ann, data.unlabelled_prefix, data.img_prefix)
        return (SplitFiles("unlabelled", *where, ImageList(), is_trained_on=True, has_objects=False),)

    def files(self, data: DataConfig) -> Iterator[DataFile]:
        """Return the file that lists the images."""
        for split in self.splits(data):
            yield DataFile(split.key, split.ann, split.images, split.format.image_names)

    def datasets(self, datasets: list[dict[str, Any]], run: LoweringRun, split: str) -> list[dict[str, Any]]:
        """Append the unlabelled images for training."""
        if split != "train":
            return datasets
        (files,), root = self.splits(run.data), absolute(run.data.root)
        unlabelled = {
            **files.format.dataset(files.images),
            "data_root": root,
            "ann_file": files.ann,
            "metainfo": {"classes": run.inputs.classes},
            "backend_args": run.config.storage.backend_args(join(root, files.ann)),
        }
        return [*datasets, unlabelled]

    def finish_dataset(self, dataset: dict[str, Any], run: RunConfig) -> dict[str, Any]:
        """Set the storage back end of the unlabelled images."""
        (files,) = self.splits(run.data)
        for step in dataset["datasets"][1]["pipeline"]:
            if step["type"] == "LoadImageOrSkip":
                step["backend_args"] = run.config.image_backend(files.images)
        # The data sets differ in these keys, which are not used in training.
        return {**dataset, "datasets": list(dataset["datasets"]), "ignore_keys": ["palette", "dataset_type"]}

    def sampler(self, run: RunConfig) -> dict[str, Any]:
        """Return a sampler that composes batches of both.

        MMDetection's sampler is infinite, and hangs where one data set lacks an aspect ratio of the other.
        """
        return {
            "type": "SourceRatioSampler",
            "batch_size": run.data.batch_size,
            "source_ratio": list(run.data.source_ratio),
            "infinite": not run.config.schedule.by_epoch,
        }

    def counted_per_batch(self, run: RunConfig) -> int:
        """Return the number of labelled images in a batch."""
        if run.data.uses_zoo_file:
            return run.data.batch_size
        return images_per_source(run.data.batch_size, run.data.source_ratio)[0]


def _unread(run: RunConfig, branches: list[str]) -> Iterator[str]:
    model, data = run.config.model.get("type"), run.data
    if branches:
        assert run.config.aug.recipe is not None
        yield (
            f"{branches[0]}.type=MultiBranch: aug=zoo/{run.config.aug.recipe['zoo']} has pipelines for a teacher "
            f"and a student, and model={model} has neither. Type another aug=OPTION, or model={EXAMPLE}"
        )
    if data.uses_zoo_file:
        return
    if data.unlabelled_ann is not None:
        yield (
            f"data.unlabelled_ann={data.unlabelled_ann}: model={model} learns from labelled images alone. Type "
            f"data.unlabelled_ann=null to train it on those, or model={EXAMPLE} aug={EXAMPLE}"
        )
    elif data.unlabelled_prefix is not None:
        yield f"data.unlabelled_prefix={data.unlabelled_prefix}: is not read without data.unlabelled_ann. Type both"
    if data.source_ratio != DataConfig().source_ratio and data.unlabelled_ann is None:
        yield f"data.source_ratio={data.source_ratio}: model={model} has one source of images. Leave it out"


def _unsupported(run: RunConfig) -> Iterator[str]:
    model, monitor = run.config.model, run.config.schedule.monitor
    if not (run.config.model_recipe.get("hooks") or {}).get("MeanTeacherHook"):
        yield (
            f"model.recipe.hooks: without MeanTeacherHook the teacher of model={model['type']} stays as it "
            "began. Type +model.recipe.hooks.MeanTeacherHook.type=MeanTeacherHook"
        )
    for name in OF_ONE_BACKBONE:
        if getattr(run.config.hw, name):
            yield f"hw.{name}=true: model={model['type']} has two backbones. Type hw.{name}=false"
    if monitor != "auto" and not monitor.startswith(("teacher/", "student/")):
        yield (
            f"schedule.monitor={monitor}: both the teacher and the student are scored. Type "
            f"schedule.monitor=teacher/{monitor}, or schedule.monitor=student/{monitor}"
        )


def _sources(run: RunConfig) -> Iterator[str]:
    data, ratio = run.data, run.data.source_ratio
    if data.unlabelled_ann is None:
        yield (
            f"model={run.config.model['type']}: learns from unlabelled images beside the labelled ones, and "
            f"data={data.kind.value} has none. Type data.unlabelled_ann=FILE.json data.unlabelled_prefix=FOLDER, or "
            "data=digits_semi"
        )
    if len(ratio) != 2 or min(ratio) < 1:
        yield (
            f"data.source_ratio={ratio}: is the number of labelled images and that of unlabelled ones, 1 or more each. "
            "Type data.source_ratio=[1,4]"
        )
    elif min(images_per_source(data.batch_size, ratio)) < 1:
        yield (
            f"data.batch_size={data.batch_size} with data.source_ratio={ratio}: every batch has images of both kinds. "
            f"Type data.batch_size={sum(ratio)}"
        )


def images_per_source(batch_size: int, source_ratio: list[int]) -> list[int]:
    """Return the number of images of each source, as MMDetection: rounded down, the remainder to the first source.

    Args:
        batch_size: images of the batch.
        source_ratio: relative number of images of each source.
    """
    counts = [int(batch_size * share / sum(source_ratio)) for share in source_ratio]
    return [batch_size - sum(counts[1:]), *counts[1:]]
