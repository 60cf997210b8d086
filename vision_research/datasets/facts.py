"""Gathers the classes, counts and digest of the data before a run starts, and all problems of the data in one error."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_research.config.errors import ConfigError
from vision_research.datasets.annotation_format import SplitFiles
from vision_research.datasets.coco.inspection import compare_categories
from vision_research.datasets.image_files import missing_path_problem, sample_problems, sizes_digest
from vision_research.datasets.image_header import MAX_PIXELS
from vision_research.datasets.report import AnnotationReport, find, plural, show


@dataclass(frozen=True)
class DatasetFacts:
    """Facts about the data of a run.

    Attributes:
        classes: names in label order; the head has one output for each.
        counts: number of images of each checked split, by its name.
        digest: 16 hexadecimal digits that change with annotations, image names or file sizes of images.
        warnings: texts for the log: what is dropped, what looks wrong.
        masks: form of the masks of the training annotations: `polygons`, `rle` or `none`.
        scored_masks: form of the masks of the validation annotations.
        stuff: names of further classes, of pixels that belong to no object, in label order.
    """

    classes: tuple[str, ...]
    counts: Mapping[str, int]
    digest: str
    warnings: tuple[str, ...] = ()
    masks: str = "none"
    scored_masks: str = "none"
    stuff: tuple[str, ...] = ()

    @property
    def num_train(self) -> int:
        """Training images."""
        return self.counts.get("train", 0)

    @property
    def num_val(self) -> int:
        """Validation images."""
        return self.counts.get("val", 0)


@dataclass(frozen=True)
class _Split:
    """A split and the report of its check."""

    files: SplitFiles
    img_root: Path
    report: AnnotationReport


def gather_facts(
    root: Path,
    splits: Sequence[SplitFiles],
    classes: Sequence[str] | None = None,
    strict: bool = False,
    num_samples: int = 8,
    max_pixels: int = MAX_PIXELS,
) -> DatasetFacts:
    """Check annotation files, image folders and a few images.

    Args:
        root: folder that the files are relative to, on this machine or in S3.
        splits: what to check; the classes are those of the first.
        classes: train only on these; None means all classes of the first annotation file.
        strict: refuse boxes that would be dropped.
        num_samples: number of images to decode in each split.
        max_pixels: images with more pixels are not decoded, and are a problem.

    Raises:
        ConfigError: all problems, each with the key and what to type.
    """
    if not root.is_dir():
        raise ConfigError(missing_path_problem("data.root", root.absolute(), "folder", Path.cwd()))
    root = root.absolute()
    checked = [_Split(files, files.image_root(root), files.inspect(root, strict)) for files in splits]
    annotated = [split for split in checked if split.files.has_objects]
    problems = [problem for split in checked for problem in split.report.problems]
    names, class_problems, class_warnings = _choose_classes(annotated, classes)
    problems += class_problems
    if not problems:
        problems = [*_without_boxes(annotated), *_undecodable(checked, num_samples, max_pixels)]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    masks = {split.files.name: split.report.masks for split in annotated}
    return DatasetFacts(
        classes=names,
        counts={split.files.name: split.report.num_images for split in checked},
        digest=_digest(checked),
        warnings=(
            *(warning for split in annotated for warning in split.report.warnings),
            *class_warnings,
            *_shared_images(checked),
        ),
        masks=masks.get("train", "none"),
        scored_masks=masks.get("val", "none"),
    )


def _choose_classes(
    splits: Sequence[_Split], wanted: Sequence[str] | None
) -> tuple[tuple[str, ...], list[str], list[str]]:
    """Return the classes in label order, problems and warnings."""
    first, *others = (split.report for split in splits)
    lists_classes = splits[0].files.format.lists_classes
    if wanted is not None:
        unknown = [show(name) for name in wanted if name not in first.classes]
        problems = [
            f"data.classes={list(wanted)}: {find(unknown).listed()} not in {first.ann_file}. Allowed: "
            f"{', '.join(first.classes)}"
        ]
        chosen = tuple(name for name in first.classes if name in wanted) if lists_classes else tuple(wanted)
        return chosen, problems if unknown and first.classes else [], []
    if lists_classes:
        return first.classes, [problem for other in others for problem in compare_categories(first, other)], []
    return first.classes, [], [text for other in others if (text := _untrained(first, other))]


def _untrained(train: AnnotationReport, other: AnnotationReport) -> str:
    extra = [name for name in other.classes if name not in train.classes]
    if not extra:
        return ""
    return (
        f"{other.key}={other.ann_file}: {find(extra).listed()} not among the training annotations, and left out of the "
        "score. Type data.classes=[...] to name the classes yourself"
    )


def _without_boxes(splits: Sequence[_Split]) -> list[str]:
    purposes = {"train": "train on", "val": "score against"}
    return [
        f"{report.key}={report.ann_file}: has no box to {purpose}. Type {report.key}=<a file with annotations>"
        for split in splits
        if (purpose := purposes.get(split.files.name)) and (report := split.report).num_boxes == 0
    ]


def _undecodable(splits: Sequence[_Split], num_samples: int, max_pixels: int) -> list[str]:
    problems = []
    for split in splits:
        paths = [split.img_root / name for name in split.report.image_names]
        problems += sample_problems(f"{split.files.key}={split.report.ann_file}", paths, num_samples, max_pixels)
    return problems


def _shared_images(splits: Sequence[_Split]) -> list[str]:
    """Return warnings of images that are both trained on and scored, so that the score is too good."""
    trained_on = [split for split in splits if split.files.is_trained_on]
    # If training and validation use the same file, this is intended.
    training_files = {split.report.ann_file for split in trained_on if split.files.has_objects}
    train = {split.img_root / name for split in trained_on for name in split.report.image_names}
    texts = []
    for split in splits:
        report = split.report
        if split.files.is_trained_on or report.ann_file in training_files:
            continue
        shared = [show(image) for image in report.image_names if split.img_root / image in train]
        if shared:
            texts.append(
                f"{report.key}={report.ann_file}: {plural(len(shared), 'image')} also trained on "
                f"({find(shared).listed()}); the score will be too good"
            )
    return texts


def _digest(splits: Sequence[_Split]) -> str:
    digest = hashlib.sha256()
    for split in splits:
        digest.update(f"{split.files.name} {split.report.digest} ".encode())
        digest.update(sizes_digest(split.img_root, split.report.image_names).encode())
    return digest.hexdigest()[:16]
