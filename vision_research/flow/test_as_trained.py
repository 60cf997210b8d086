"""The `test` command on runs that are not scored on boxes and masks: it uses the loader and evaluator of the training.

The commands that need boxes refuse such runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.table import Table

from vision_research.checks.validation import look_at_data, validate
from vision_research.config.command_schema import SourceConfig, TestCommand
from vision_research.config.compose import read_config
from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataConfig
from vision_research.console.progress_bar import counting
from vision_research.flow.detectors import Detectors
from vision_research.inference.as_trained import ScoredAsTrained, TrainedEvaluation
from vision_research.inference.evaluate import print_tables
from vision_research.inference.evaluation_data import split_of_config, typed_data
from vision_research.inference.predictors import trained_detector
from vision_research.lowering.lower import lower_split
from vision_research.protocols import LoweringInputs, LoweringSpec, Results
from vision_research.registry import scored_subject, specify


@dataclass(frozen=True)
class EvaluatedImages:
    """The configs of loader and evaluator, and their split."""

    loader: dict[str, Any]
    evaluator: Any
    split: str


def subject_of(config: Any) -> str | None:
    """Return what the detector of a config is scored on; None for boxes and masks, and for an artifact alone."""
    return None if config is None else scored_subject(config.model, config.get("val_evaluator"))


def require_boxes(config: Any, command: SourceConfig, action: str) -> None:
    """Refuse a detector that is not scored on boxes, for commands that need boxes.

    Args:
        config: its `mmengine.Config`, or None where only an artifact was given.
        command: configuration of the command.
        action: what the command does, for the message: `thresholds are chosen on`.

    Raises:
        ConfigError: the detector is scored on something else.
    """
    if subject := subject_of(config):
        bare = f"checkpoint={command.checkpoint} config={command.config}"
        typed = f"run={command.run}" if command.run else bare
        raise ConfigError(
            f"{typed}: this {config.model.type} is scored on {subject}, and {action} boxes. Type "
            f"python -m vision_research.test {typed}"
        )


def test_as_trained(command: TestCommand, detectors: Detectors, writers: Sequence[Results]) -> ScoredAsTrained:
    """Evaluate a checkpoint as in its training; print and record its scores.

    Args:
        command: configuration of the command.
        detectors: the run with its config.
        writers: of the requested result files.

    Raises:
        UserError: the configuration or the data is wrong.
    """
    source, subject = detectors.source, subject_of(detectors.config)
    assert source is not None, "an artifact alone has no evaluator"
    if detectors.artifacts:
        raise ConfigError(
            f"artifact={detectors.artifacts[0].name}: run={command.run} is scored on {subject}, which no exported "
            "model gives. Leave artifact out"
        )
    if command.tracking.register_as is not None:
        raise ConfigError("tracking.register_as: there is no exported model to register. Leave it out")
    images = _images(command, detectors)
    evaluation = TrainedEvaluation(images.loader, images.evaluator)
    arguments = (detectors.classes, command.trust_checkpoint, command.device.value)
    detector = trained_detector(detectors.config, source.checkpoint, *arguments)
    with counting(f"evaluating {images.split}", len(evaluation)) as count:
        scores = evaluation.score(detector, count, writers)
    unit = "batch" if len(evaluation) == 1 else "batches"
    _show(scores, f"{images.split}: {len(evaluation)} {unit}, scored on {subject}")
    for writer in writers:
        print(writer.write(), flush=True)
    prefix = "test" if images.split == "test" else "best_val"
    # The score of a class without an object is NaN.
    known = {name: value for name, value in scores.values.items() if not math.isnan(value)}
    values = {**known, "latency_ms": 1000 * scores.latency_s}
    detectors.record(command, {f"{prefix}/{name}": value for name, value in values.items()}, {})
    return scores


def _images(command: TestCommand, detectors: Detectors) -> EvaluatedImages:
    """Return loader, evaluator and split: of the command's data, else of the run."""
    assert detectors.source is not None
    typed = typed_data(command.data, detectors.source.run_data)
    if typed is not None:
        return lower_typed_images(command, detectors, typed)
    split = split_of_config(detectors.config, detectors.source.config, command.split.value).split
    return EvaluatedImages(
        detectors.config[f"{split}_dataloader"].to_dict(), detectors.config[f"{split}_evaluator"], split
    )


def lower_typed_images(command: TestCommand, detectors: Detectors, data: DataConfig) -> EvaluatedImages:
    """Lower one split with the command's data; only its files are read.

    Args:
        command: the typed tree.
        detectors: the run with its config.
        data: the run's data with the command's keys laid over it.

    Raises:
        ConfigError: the run is a bare checkpoint, or the data does not suit its detector.
    """
    source = detectors.source
    if source is None or source.work_dir is None or not source.work_dir.config_yaml.is_file():
        raise ConfigError(
            f"data.root={data.root}: a bare checkpoint that is scored on {subject_of(detectors.config)} is tested "
            "on the data of its config. Type run=WORK_DIR, or leave data out"
        )
    config = read_config(source.work_dir.config_yaml)
    config.data, config.storage = data, command.storage
    run = specify(config)
    validate(run)
    split = data.split_with_files(command.split.value)
    facts = look_at_data(run, (split,))
    run.task.check_classes(detectors.classes, facts, f"data.{split}_ann={getattr(data, f'{split}_ann')}")
    # Labels are numbered as the detector was trained; the other file may list its classes in another order.
    things = detectors.classes[: len(detectors.classes) - len(facts.stuff)]
    inputs = LoweringInputs.of(run.data, replace(facts, classes=things), source.work_dir.root)
    lowered = lower_split(LoweringSpec(**vars(run), inputs=inputs), split)
    return EvaluatedImages(lowered[f"{split}_dataloader"], lowered[f"{split}_evaluator"], split)


def _show(scores: ScoredAsTrained, title: str) -> None:
    table = Table("checkpoint", "", box=None)
    for name, value in scores.values.items():
        table.add_row(name, "-" if math.isnan(value) else f"{value:.4f}")
    table.add_row("ms a batch", f"{1000 * scores.latency_s:.1f}")
    print_tables(title, table)
