"""The steps of the `test` command: find the detectors, evaluate them side by side, print and record the scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from vision_research.config.command_rules import registration_problems
from vision_research.config.command_schema import TestCommand
from vision_research.config.errors import ConfigError
from vision_research.console.progress_bar import counting
from vision_research.console.quiet import quiet_warnings
from vision_research.flow.detectors import Detectors, find_detectors
from vision_research.flow.test_as_trained import subject_of, test_as_trained
from vision_research.inference.evaluate import Evaluated, dataset_digest, evaluate, metric_values, print_scores
from vision_research.registry import TASKS
from vision_research.tracking.model_folder import served_model_files
from vision_research.tracking.registry import Candidate, register
from vision_research.tracking.run_record import RunRecord

NO_TEST_SPLIT = "there is no test split: validation images, on which the checkpoint was chosen (optimistic)"


def test(command: TestCommand) -> None:
    """Evaluate a checkpoint and artifacts; a run without box or mask scores is evaluated as in its training.

    Raises:
        UserError: the configuration or a file is wrong.
    """
    quiet_warnings()
    if problems := list(registration_problems(command)):
        raise ConfigError(problems)
    detectors = find_detectors(command)
    subject = subject_of(detectors.config)
    writers = [writer for task in TASKS if (writer := task.results(command, subject)) is not None]
    if subject is not None:
        test_as_trained(command, detectors, writers)
        return
    data = detectors.data(command, command.split.value)
    images, predictors = detectors.images(data), detectors.predictors(command)
    with counting(f"evaluating {data.split}", len(images.dataset)) as count:
        results = evaluate(predictors, images, data.metric, count)
    note = f"; {NO_TEST_SPLIT}" if data.split != command.split.value else ""
    print_scores(results, detectors.classes, f"{data.split}: {len(images.dataset)} images{note}")
    _record(command, detectors, data.split, results)
    if command.tracking.register_as is not None:
        print(_register(command, detectors, results[-1], images.dataset), flush=True)


def _record(command: TestCommand, detectors: Detectors, split: str, results: Sequence[Evaluated]) -> None:
    # The metrics during training have the prefix `val/`.
    prefix = "test" if split == "test" else "best_val"
    metrics: dict[str, float] = {}
    for result in results:
        own = prefix if result.name == "checkpoint" else f"{prefix}/{result.name}"
        metrics |= metric_values(result, detectors.classes, own)
    paths = [str(model.artifact.path.absolute()) for model in detectors.artifacts]
    detectors.record(command, metrics, {f"{prefix}.artifacts": json.dumps(paths)} if paths else {})


def _register(command: TestCommand, detectors: Detectors, result: Evaluated, dataset: Any) -> str:
    """Register the artifact with its score; it becomes the champion if that is better. Return a sentence about it.

    `registration_problems` has checked the command.

    Raises:
        UserError: the run is not tracked, there is no such metric, or MLflow does not accept the model.
    """
    tracking, source = command.tracking, detectors.source
    assert tracking.register_as is not None and source is not None and source.work_dir is not None
    if source.run_id is None:
        raise ConfigError(f"tracking.register_as={tracking.register_as}: {source.work_dir.root} is no tracked run")
    value = result.scores.get(f"coco/{tracking.promote_metric}")
    if value is None:
        known = ", ".join(name.removeprefix("coco/") for name in result.scores)
        raise ConfigError(f"tracking.promote_metric={tracking.promote_metric}: is one of {known}")
    artifact = detectors.artifacts[0].artifact
    candidate = Candidate(
        name=tracking.register_as,
        digest=str(artifact.manifest.artifact["sha256"]),
        metric=tracking.promote_metric,
        value=value,
        data=dataset_digest(dataset),
        margin=tracking.promote_margin,
    )
    served = served_model_files(artifact.path, source.work_dir)
    if not served:
        raise ConfigError(
            f"artifact={artifact.path.name}: MLflow serves TorchScript that takes images. "
            "Type export=torchscript export.preprocess=true"
        )
    files = [artifact.path, artifact.path.with_name(f"{artifact.path.name}.json"), *served]
    made = register(RunRecord.read(source.work_dir.run_json), files, candidate)
    became = "the champion" if made.is_champion else "a challenger"
    return f"{candidate.name} version {made.version} is {became}: {made.reason}"
