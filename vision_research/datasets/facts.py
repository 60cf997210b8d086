"""Gathers what a run has to know of its data before it starts, and every problem of the data in one error."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_research.config.addresses import join
from vision_research.config.errors import ConfigError
from vision_research.datasets.coco_json import AnnotationReport, compare_categories, inspect_coco
from vision_research.datasets.coco_unlabelled import inspect_unlabelled
from vision_research.datasets.findings import find, plural, show
from vision_research.datasets.image_files import missing_path_problem, sample_problems, sizes_digest
from vision_research.datasets.voc import inspect_voc

# Kinds of a person's own videos, and what writes their annotations.
VIDEO_CONVERTERS = {"mot": "mot2coco.py", "youtube_vis": "youtubevis2coco.py"}


@dataclass(frozen=True)
class DatasetFacts:
    """What a run knows of its data.

    Attributes:
        classes: names in label order; the head has one output for each.
        num_train: training images.
        num_val: validation images.
        num_test: test images; None without a test split.
        digest: 16 hexadecimal digits that change with annotations, image names or image sizes.
        warnings: texts for the log: what is dropped, what looks odd.
        masks: how the training annotations have masks: `polygons`, `rle` or `none`.
        scored_masks: how the validation annotations have them.
        stuff: classes of the panoptic maps that are no things, in label order.
        num_unlabelled: images to learn from without annotations.
    """

    classes: tuple[str, ...]
    num_train: int
    num_val: int
    num_test: int | None
    digest: str
    warnings: tuple[str, ...]
    masks: str = "none"
    scored_masks: str = "none"
    stuff: tuple[str, ...] = ()
    num_unlabelled: int = 0


@dataclass(frozen=True)
class _Typed:
    """What was typed for one split: its annotation file, its own image folder or None, and that of all splits."""

    ann: str
    own: str | None
    img_prefix: str


@dataclass(frozen=True)
class _Split:
    """One split as it was typed, and what was found in it."""

    name: str
    img_root: Path
    report: AnnotationReport


def gather_facts(
    *,
    kind: str,
    root: Path,
    train_ann: str,
    val_ann: str,
    test_ann: str | None = None,
    img_prefix: str = "",
    train_prefix: str | None = None,
    val_prefix: str | None = None,
    test_prefix: str | None = None,
    unlabelled_ann: str | None = None,
    unlabelled_prefix: str | None = None,
    classes: Sequence[str] | None = None,
    strict: bool = False,
    num_samples: int = 8,
    as_path: Callable[[str], Path] = Path,
) -> DatasetFacts:
    """Look at annotation files, image folders and a few images.

    Args:
        kind: `coco`, `voc`, `mot` or `youtube_vis` (COCO files whose images belong to videos), or `digits` and the
            like (COCO files; made before).
        root: folder that the other paths are relative to.
        train_ann: annotation file of the training split.
        val_ann: annotation file of the validation split.
        test_ann: annotation file of the test split, if there is one.
        img_prefix: folder of the images, for every split without an own one.
        train_prefix: folder of the training images.
        val_prefix: folder of the validation images.
        test_prefix: folder of the test images.
        unlabelled_ann: COCO file of images to learn from without annotations, if there is one.
        unlabelled_prefix: folder of these images.
        classes: train only on these; None is all that the training annotations name.
        strict: refuse boxes that would be dropped.
        num_samples: images to decode per split.
        as_path: makes a path of an address; it knows the addresses that are not of this machine.

    Returns:
        The facts.

    Raises:
        ConfigError: everything that is wrong, each with the key and what to type.
    """
    if not root.is_dir():
        raise ConfigError(missing_path_problem("data.root", root.absolute(), "folder", Path.cwd()))
    wanted = {"train": (train_ann, train_prefix), "val": (val_ann, val_prefix), "test": (test_ann, test_prefix)}
    splits = {
        name: _inspect(kind, name, root.absolute(), _Typed(ann, prefix, img_prefix), strict, as_path)
        for name, (ann, prefix) in wanted.items()
        if ann is not None
    }
    reports = {name: split.report for name, split in splits.items()}
    problems = [problem for report in reports.values() for problem in report.problems]
    problems += _without_videos(kind, reports) if kind in VIDEO_CONVERTERS else []
    warnings = [warning for report in reports.values() for warning in report.warnings]
    names, class_problems, class_warnings = _choose_classes(kind, list(reports.values()), classes)
    if unlabelled_ann is not None:
        typed = _Typed(unlabelled_ann, unlabelled_prefix, img_prefix)
        splits["unlabelled"] = _inspect("unlabelled", "unlabelled", root.absolute(), typed, strict, as_path)
        problems += splits["unlabelled"].report.problems
    problems += class_problems
    if not problems:
        problems = [*_without_boxes(reports), *_undecodable(splits, num_samples)]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return DatasetFacts(
        classes=names,
        num_train=reports["train"].num_images,
        num_val=reports["val"].num_images,
        num_test=reports["test"].num_images if "test" in reports else None,
        digest=_digest(list(splits.values())),
        warnings=(*warnings, *class_warnings, *_shared_images(splits)),
        masks=reports["train"].masks,
        scored_masks=reports["val"].masks,
        num_unlabelled=splits["unlabelled"].report.num_images if "unlabelled" in splits else 0,
    )


def _inspect(kind: str, name: str, root: Path, typed: _Typed, strict: bool, as_path: Callable[[str], Path]) -> _Split:
    prefix = typed.img_prefix if typed.own is None else typed.own
    ann_file, img_root = as_path(join(str(root), typed.ann)), as_path(join(str(root), prefix))
    key, prefix_key = f"data.{name}_ann", "data.img_prefix" if typed.own is None else f"data.{name}_prefix"
    if kind == "voc":
        report = inspect_voc(ann_file, root, img_root, key=key, prefix_key=prefix_key, strict=strict)
    elif kind == "unlabelled":
        report = inspect_unlabelled(ann_file, img_root, key=key, prefix_key=prefix_key, root=root)
    else:
        report = inspect_coco(ann_file, img_root, key=key, prefix_key=prefix_key, root=root, strict=strict)
    return _Split(name, img_root, report)


def _choose_classes(
    kind: str, reports: list[AnnotationReport], wanted: Sequence[str] | None
) -> tuple[tuple[str, ...], list[str], list[str]]:
    """Return the classes in label order, problems and warnings."""
    train, *others = reports
    if wanted is not None:
        unknown = [show(name) for name in wanted if name not in train.classes]
        problems = [
            f"data.classes={list(wanted)}: {find(unknown).listed()} not in {train.ann_file}. Allowed: "
            f"{', '.join(train.classes)}"
        ]
        chosen = tuple(name for name in train.classes if name in wanted) if kind != "voc" else tuple(wanted)
        return chosen, problems if unknown and train.classes else [], []
    if kind != "voc":
        return train.classes, [problem for other in others for problem in compare_categories(train, other)], []
    # A VOC folder has no list of classes: a rare one may be missing from a split without a mistake.
    return train.classes, [], [text for other in others if (text := _untrained(train, other))]


def _untrained(train: AnnotationReport, other: AnnotationReport) -> str:
    extra = [name for name in other.classes if name not in train.classes]
    if not extra:
        return ""
    return (
        f"{other.key}={other.ann_file}: {find(extra).listed()} not among the training annotations, and left out of the "
        "score. Type data.classes=[...] to name the classes yourself"
    )


def _without_boxes(reports: dict[str, AnnotationReport]) -> list[str]:
    return [
        f"{report.key}={report.ann_file}: has no box to {purpose}. Type {report.key}=<a file with annotations>"
        for name, purpose in (("train", "train on"), ("val", "score against"))
        if (report := reports[name]).num_boxes == 0
    ]


def _without_videos(kind: str, reports: dict[str, AnnotationReport]) -> list[str]:
    return [
        f"{report.key}={report.ann_file}: not every image has a 'video_id' and a 'frame_id', so they are no videos. "
        f"Write the file with MMDetection's tools/dataset_converters/{VIDEO_CONVERTERS[kind]}, or type data=coco to "
        "train on single images"
        for report in reports.values()
        if report.num_images and not report.has_videos
    ]


def _undecodable(splits: dict[str, _Split], num_samples: int) -> list[str]:
    problems = []
    for split in splits.values():
        paths = [split.img_root / name for name in split.report.image_names]
        problems += sample_problems(f"data.{split.name}_ann={split.report.ann_file}", paths, num_samples)
    return problems


def _shared_images(splits: dict[str, _Split]) -> list[str]:
    """Warn of images that are both trained on and scored: the score is then too good."""
    trained_on = [split for name, split in splits.items() if name in ("train", "unlabelled")]
    train = {split.img_root / name for split in trained_on for name in split.report.image_names}
    texts = []
    for name in ("val", "test"):
        split = splits.get(name)
        if split is None or split.report.ann_file == splits["train"].report.ann_file:
            continue
        shared = [show(image) for image in split.report.image_names if split.img_root / image in train]
        if shared:
            texts.append(
                f"{split.report.key}={split.report.ann_file}: {plural(len(shared), 'image')} also trained on "
                f"({find(shared).listed()}); the score will be too good"
            )
    return texts


def _digest(splits: list[_Split]) -> str:
    digest = hashlib.sha256()
    for split in splits:
        digest.update(f"{split.name} {split.report.digest} ".encode())
        digest.update(sizes_digest(split.img_root, split.report.image_names).encode())
    return digest.hexdigest()[:16]
