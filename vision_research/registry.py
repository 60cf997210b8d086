"""The registered tasks and feeds. Other modules loop over them without naming any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from vision_research.config.schema import DataConfig, TrainConfig
from vision_research.config.traits import DetectorTraits, traits_of
from vision_research.config.tree import kind_of
from vision_research.datasets.digits.maker import EmbeddedDataset, make_once
from vision_research.feeds.class_names.feed import ClassNames
from vision_research.feeds.given_proposals.feed import GivenProposals
from vision_research.feeds.maps.feed import Maps
from vision_research.feeds.unlabelled.feed import Unlabelled
from vision_research.protocols import DataFile, Feed, MetricInfo, RunPart, RunSpec, Task
from vision_research.tasks.boxes.task import Boxes
from vision_research.tasks.identities.task import Identities
from vision_research.tasks.panoptic.task import Panoptic
from vision_research.tasks.proposals.task import ProposalGeneration
from vision_research.tasks.tracks.task import Tracks
from vision_research.tasks.zoo_file.task import ZooFile


def metric_info(metric: Mapping[str, Any]) -> MetricInfo | None:
    """Return the monitor and the subject of a config of an MMEngine metric; None for an unknown one."""
    kind, words = kind_of(dict(metric)), metric.get("metric") or "bbox"
    first = words if isinstance(words, str) else "bbox" if "bbox" in words else next(iter(words))
    return METRICS.get(f"{kind}:{first}") or METRICS.get(kind)


# The first task that claims a run gets it; boxes claim all other runs.
TASKS: tuple[Task, ...] = (ZooFile(metric_info), Tracks(), Identities(), Panoptic(), ProposalGeneration(), Boxes())
METRICS: dict[str, MetricInfo] = {name: info for task in TASKS for name, info in task.metrics.items()}
# The order in which feeds change the data of a task.
FEEDS: tuple[Feed, ...] = (ClassNames(), GivenProposals(), Maps(), Unlabelled())
PARTS: tuple[RunPart, ...] = (*TASKS, *FEEDS)
EMBEDDED: dict[str, EmbeddedDataset] = {part.embedded.name: part.embedded for part in PARTS if part.embedded}


def specify(config: TrainConfig) -> RunSpec:
    """Determine the traits of a run's detector, its task and its feeds."""
    traits = traits_of(config)
    return RunSpec(config, traits, _task_of(traits, config.data), _feeds_of(traits, config.data))


def make_embedded(name: str, root: Path, **counts: int) -> Path:
    """Generate an embedded data set unless it exists.

    Args:
        name: `digits`, `digits_video`, ...
        root: its folder; created if missing.
        **counts: images or videos by split. The default is what exists, or the number that the data set defines.

    Returns:
        The absolute folder.

    Raises:
        ConfigError: the folder cannot be written, or contains something else.
    """
    return make_once(EMBEDDED[name], root, counts)


def data_files(data: DataConfig) -> Iterator[DataFile]:
    """List every file of a data set that any detector reads."""
    owner = next((task for task in TASKS if data.kind in task.kinds), TASKS[-1])
    return chain(owner.files(data), *(feed.files(data) for feed in FEEDS))


def scored_subject(model: Mapping[str, Any], evaluator: Any) -> str | None:
    """Return what a detector is scored on, or None for boxes and masks.

    Args:
        model: of an MMEngine config.
        evaluator: its `val_evaluator`: a metric, a list of them, or None.
    """
    traits = DetectorTraits.of(model)
    if subject := next((found for feed in FEEDS if (found := feed.subject(traits))), None):
        return subject
    metrics = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator or {}]
    return next((info.subject for metric in metrics if (info := metric_info(metric)) and info.subject), None)


def monitor_of(model: Mapping[str, Any], pipelines: Mapping[str, Any] | None, data: DataConfig) -> str:
    """Return the metric by which the best checkpoint is chosen.

    Args:
        model: the `model` group.
        pipelines: the pipelines of a zoo file by split (`aug.recipe`), or None.
        data: the `data` group.
    """
    traits = DetectorTraits.of(model, pipelines)
    name = _task_of(traits, data).monitor(traits, data)
    for feed in _feeds_of(traits, data):
        name = feed.monitor(traits, name)
    return name


def _task_of(traits: DetectorTraits, data: DataConfig) -> Task:
    return next(task for task in TASKS if task.claims(traits, data))


def _feeds_of(traits: DetectorTraits, data: DataConfig) -> tuple[Feed, ...]:
    return tuple(feed for feed in FEEDS if feed.claims(traits, data))
