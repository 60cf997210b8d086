"""The `browse` command's flow: the data set of a training is built and looked at, and nothing is trained."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_research.config.addresses import is_s3
from vision_research.config.command_schema import BrowseCommand, BrowseConfig, Phase
from vision_research.config.compose import Composition
from vision_research.config.errors import ConfigError
from vision_research.config.hints import did_you_mean
from vision_research.config.lowering import lower
from vision_research.config.lowering.storage import s3_settings
from vision_research.config.validate import validate
from vision_research.engine.progress_bar import counting
from vision_research.flow.output import require_writable
from vision_research.flow.prepare import look_at_data, lowering_inputs
from vision_research.storage.s3.objects import begin_run
from vision_research.storage.s3.settings import S3Settings
from vision_research.visualization.boxes import draw_boxes
from vision_research.visualization.sheet import contact_sheet
from vision_research.work_dir import WorkDir

# Pictures on one sheet: at 320 pixels, what a screen can show.
PER_SHEET = 36
# Steps in a row of a picture of steps.
STEPS_IN_ROW = 5
# Frames in a row of a picture of a video.
FRAMES_IN_ROW = 6


def browse(composition: Composition[BrowseCommand]) -> Path:
    """Draw images of a training after its pipeline.

    Returns:
        The folder of the pictures.

    Raises:
        ConfigError: what a person can mend, before anything is written.
    """
    from vision_research.engine.console import quiet_warnings

    quiet_warnings()
    words, out = composition.config.browse, Path(composition.config.browse.out).absolute() / composition.job_name
    _refuse(words)
    require_writable("browse.out", out / "sheet.jpg")
    with tempfile.TemporaryDirectory(prefix="vision_research-browse-") as scratch:
        dataset = _traced(composition.config, Path(scratch))
        drawn = list(_draw(dataset, composition.config))
        left_out = WorkDir(Path(scratch)).skipped_images
        skipped = left_out.read_text().splitlines() if left_out.is_file() else []
    _write(out, drawn, words.steps)
    for path in skipped:
        print(f"left out: {path}", flush=True)
    print(f"{len(drawn)} pictures: {out}", flush=True)
    return out


def _refuse(words: BrowseConfig) -> None:
    problems = [
        f"browse.{key}={value}: has to be 1 or more"
        for key, value in (("num", words.num), ("repeat", words.repeat))
        if value < 1
    ]
    if words.stage not in (1, 2):
        problems.append(f"browse.stage={words.stage}: is 1, or 2 for the weak pipeline at the end of a training")
    if words.stage == 2 and words.phase is not Phase.train:
        problems.append(f"browse.stage=2 with browse.phase={words.phase.value}: training alone has stages")
    if words.images is not None and not words.images:
        problems.append("browse.images=[]: names no image. Type browse.images=[FILE,FILE], or browse.num=16")
    if is_s3(words.out):
        problems.append(f"browse.out={words.out}: is a folder of this machine. Type browse.out=browse")
    if problems:
        raise ConfigError(problems)


def _traced(config: BrowseCommand, scratch: Path) -> Any:
    """Build the data set as a training does, print its transforms, and watch them."""
    validate(config)
    begin_run(S3Settings(**s3_settings(config.storage)))
    lowered = lower(config, lowering_inputs(config, look_at_data(config), scratch))
    from vision_research.engine.preflight import build_dataset, register_types, unknown_types
    from vision_research.engine.second_stage import turn_to_second_stage
    from vision_research.engine.traced_samples import TracedDataset

    register_types(lowered)
    if problems := unknown_types(lowered):
        raise ConfigError(problems)
    dataset = build_dataset(lowered, config.browse.phase.value)
    if config.browse.stage == 2:
        turn_to_second_stage(dataset, lowered)
    return TracedDataset(dataset)


def _draw(dataset: Any, config: BrowseCommand) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Print where each transform lives, then yield the name and the picture of each sample."""
    from vision_research.engine.transform_places import places

    words = config.browse
    print("\n".join(places(dataset.transforms)), flush=True)
    chosen = _chosen(dataset, words)
    _sow(config.seed)
    dataset.fill_caches(iter(np.random.randint(0, len(dataset), 10_000)))  # noqa: NPY002  # MMDetection's own source
    classes = [*dataset.classes, "ignored"]
    with counting("drawing", len(chosen) * words.repeat) as count:
        for index in chosen:
            for turn in range(words.repeat):
                sample = dataset.trace(index)
                yield f"{sample.name}_{turn + 1}" if words.repeat > 1 else sample.name, _picture(sample, classes, words)
                count.advance()


def _chosen(dataset: Any, words: BrowseConfig) -> list[int]:
    from vision_research.engine.traced_samples import choose

    names = dataset.names()
    try:
        return choose(names, words.images, words.num)
    except KeyError as error:
        name = str(error.args[0])
        near = did_you_mean(name, [Path(known).name for known in names])
        raise ConfigError(
            f"browse.images={words.images}: {name} is not among the {len(names)} images of browse.phase="
            f"{words.phase.value}.{near}"
        ) from error


def _sow(seed: int) -> None:
    """Seed what transforms draw from, so that the same words give the same pictures."""
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def _picture(sample: Any, classes: Sequence[str], words: BrowseConfig) -> NDArray[np.uint8]:
    if not words.steps:
        return _side_by_side([_annotated(view, classes) for view in sample.final])
    shown = [
        (step.transform, _side_by_side([_annotated(view, classes) for view in step.views]))
        for step in sample.steps
        if step.views
    ]
    return contact_sheet([(f"{place}. {name}", image) for place, (name, image) in enumerate(shown, 1)], STEPS_IN_ROW)


def _annotated(view: Any, classes: Sequence[str]) -> NDArray[np.uint8]:
    return draw_boxes(view.image, view.boxes, None, view.labels, classes, view.masks)


def _side_by_side(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    columns = min(len(images), FRAMES_IN_ROW)
    return images[0] if len(images) == 1 else contact_sheet([("", image) for image in images], columns, 640)


def _write(out: Path, drawn: Sequence[tuple[str, NDArray[np.uint8]]], steps: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for name, image in drawn:
        # Folders of a data set may hold images of one name.
        unique = next(form for form in (name, *(f"{name}-{number}" for number in range(2, 10**6))) if form not in taken)
        taken.add(unique)
        cv2.imwrite(str(out / f"{unique}.jpg"), image)
    for first in range(0, len(drawn), PER_SHEET):
        page = drawn[first : first + PER_SHEET]
        number = f"_{first // PER_SHEET + 1}" if len(drawn) > PER_SHEET else ""
        sheet = contact_sheet(page, 1, 1600) if steps else contact_sheet(page)
        cv2.imwrite(str(out / f"sheet{number}.jpg"), sheet)
