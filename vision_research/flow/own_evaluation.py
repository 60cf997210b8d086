"""Runs whose score is not of boxes and masks: trackers, panoptic detectors, RPNs. Tested as their training was.

Their checkpoint alone is evaluated, by the run's own loader and evaluator; the commands that read boxes refuse them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vision_research.config.command_schema import SourceConfig, TestCommand
from vision_research.config.compose import read_config
from vision_research.config.dataset_tree import kind_of
from vision_research.config.errors import ConfigError
from vision_research.config.lowering.data import lower_data
from vision_research.config.lowering.proposals import takes_proposals
from vision_research.config.schema import DataConfig
from vision_research.config.splits import split_with_files
from vision_research.config.validate import validate
from vision_research.datasets.proposals import write_proposals
from vision_research.engine.own_evaluation import OwnEvaluation, OwnScores
from vision_research.engine.predictors import choose_device, trained_detector
from vision_research.engine.progress_bar import counting
from vision_research.flow.detectors import Detectors
from vision_research.flow.evaluation_data import evaluated_split, typed_data
from vision_research.flow.output import require_writable
from vision_research.flow.prepare import look_at_data, lowering_inputs
from vision_research.flow.run_data import run_data
from vision_research.tracking.addition import adding_to

# What the evaluators of MMDetection, and ours, score beyond boxes and masks.
SUBJECTS = {
    "MOTChallengeMetric": "tracks",
    "YouTubeVISMetric": "tracks with masks",
    "VideoMaskMetric": "tracks with masks",
    "PanopticQuality": "panoptic maps",
    "CocoPanopticMetric": "panoptic maps",
    "SemSegMetric": "maps of classes",
    "ReIDMetrics": "identities",
}
PROPOSALS = "proposals"
GIVEN_PROPOSALS = "proposals that are given to it"


def scored_subject(config: Any) -> str | None:
    """Name what a detector is scored on, where that is not boxes or masks of classes.

    Args:
        config: an `mmengine.Config`; None for an artifact that stands alone.
    """
    own = None if config is None else config.get("val_evaluator")
    if config is not None and takes_proposals(config.model):
        return GIVEN_PROPOSALS
    for one in own if isinstance(own, (list, tuple)) else [own or {}]:
        if subject := SUBJECTS.get(kind_of(one)):
            return subject
        if one.get("metric") in ("proposal", ["proposal"]):
            return PROPOSALS
    return None


def require_boxes(config: Any, words: SourceConfig, action: str) -> None:
    """Refuse what a command cannot do with a detector that is scored on something else than boxes.

    Args:
        config: its `mmengine.Config`, or None for an artifact that stands alone.
        words: the command's.
        action: what the command does, for the message: `thresholds are chosen`.

    Raises:
        ConfigError: it is such a detector.
    """
    if subject := scored_subject(config):
        typed = f"run={words.run}" if words.run else f"checkpoint={words.checkpoint} config={words.config}"
        raise ConfigError(
            f"{typed}: this {config.model.type} is scored on {subject}, and {action} boxes. Type "
            f"python -m vision_research.test {typed}"
        )


def test_as_trained(words: TestCommand, detectors: Detectors) -> OwnScores:
    """Evaluate a checkpoint as its training did, show and record its values.

    Raises:
        UserError: what a person can mend, before anything is computed.
    """
    source = detectors.source
    assert source is not None, "an artifact alone has no evaluator"
    subject = scored_subject(detectors.config)
    if detectors.artifacts:
        raise ConfigError(
            f"artifact={detectors.artifacts[0].name}: run={words.run} is scored on {subject}, which no exported model "
            "gives. Leave artifact out"
        )
    if words.tracking.register_as is not None:
        raise ConfigError("tracking.register_as: there is no exported model to register. Leave it out")
    proposals = _proposal_path(words, subject)
    loader, evaluator, split = _images(words, detectors)
    evaluation = OwnEvaluation(loader, evaluator)
    arguments = (detectors.classes, words.trust_checkpoint, choose_device(words.device.value))
    detector = trained_detector(detectors.config, source.checkpoint, *arguments)
    with counting(f"evaluating {split}", len(evaluation)) as count:
        scores = evaluation.score(detector, count, keep=proposals is not None)
    unit = "batch" if len(evaluation) == 1 else "batches"
    _show(scores, f"{split}: {len(evaluation)} {unit}, scored on {subject}")
    if proposals is not None:
        write_proposals(proposals, scores.found)
        print(f"proposals of {len(scores.found)} images: {proposals}", flush=True)
    if (work_dir := source.recorded_in(words.tracking)) is not None:
        prefix = "test" if split == "test" else "best_val"
        # A class without an object has no value.
        told = {name: value for name, value in scores.values.items() if not math.isnan(value)}
        values = {**told, "latency_ms": 1000 * scores.latency_s}
        with adding_to(work_dir) as run:
            run.log_metrics({f"{prefix}/{name}": value for name, value in values.items()}, source.iteration)
    return scores


def _proposal_path(words: TestCommand, subject: str | None) -> Path | None:
    """Return where proposals are to be written, or None.

    Raises:
        ConfigError: the detector makes none, or the file cannot be written.
    """
    if words.proposals is None:
        return None
    if subject != PROPOSALS:
        raise ConfigError(
            f"proposals={words.proposals}: proposals are what an RPN finds, and run={words.run} is scored on "
            f"{subject}. Type the run of model=zoo/rpn/..., or leave proposals out"
        )
    path = Path(words.proposals).absolute()
    if path.suffix != ".npz":
        raise ConfigError(f"proposals={words.proposals}: is written as a NumPy archive. Type proposals={path.stem}.npz")
    require_writable("proposals", path)
    return path


def _images(words: TestCommand, detectors: Detectors) -> tuple[dict[str, Any], Any, str]:
    """Return loader, evaluator and split: of what was typed, else of the run."""
    assert detectors.source is not None
    typed = typed_data(words.data, run_data(detectors.source))
    if typed is not None:
        return _typed_images(words, detectors, typed)
    split = evaluated_split(detectors.config, detectors.source.config, words.split.value)
    return detectors.config[f"{split}_dataloader"].to_dict(), detectors.config[f"{split}_evaluator"], split


def _typed_images(words: TestCommand, detectors: Detectors, data: DataConfig) -> tuple[dict[str, Any], Any, str]:
    """Lower the run anew around other data, of which the evaluated split alone is looked at."""
    source = detectors.source
    if source is None or source.work_dir is None or not source.work_dir.config_yaml.is_file():
        raise ConfigError(
            f"data.root={data.root}: a bare checkpoint that is scored on {scored_subject(detectors.config)} is tested "
            "on the data of its config. Type run=WORK_DIR, or leave data out"
        )
    config = read_config(source.work_dir.config_yaml)
    split = split_with_files(data, words.split.value)
    data.train_ann, data.train_prefix = data.val_ann, data.val_prefix
    data.train_panoptic, data.train_proposals = data.val_panoptic, data.val_proposals
    config.data, config.storage = data, words.storage
    validate(config)
    facts = look_at_data(config)
    if set(detectors.classes) != {*facts.classes, *facts.stuff}:
        raise ConfigError(
            f"data.val_ann={data.val_ann}: its classes are {', '.join((*facts.classes, *facts.stuff))}; those of the "
            f"detector are {', '.join(detectors.classes)}. Evaluate it on data of its own classes"
        )
    lowered = lower_data(config, lowering_inputs(config, facts, Path(source.work_dir.root)))
    return lowered[f"{split}_dataloader"], lowered[f"{split}_evaluator"], split


def _show(scores: OwnScores, title: str) -> None:
    table = Table("checkpoint", "", box=None)
    for name, value in scores.values.items():
        table.add_row(name, "-" if math.isnan(value) else f"{value:.4f}")
    table.add_row("ms a batch", f"{1000 * scores.latency_s:.1f}")
    console = Console(highlight=False, markup=False)
    console.print(f"\n{title}", soft_wrap=True)
    console.print(table)
