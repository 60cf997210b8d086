"""The steps of the `test` command: find the detectors, evaluate them side by side, print and record the scores."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vision_research.config.command_schema import TestCommand
from vision_research.config.errors import ConfigError
from vision_research.config.registration_rules import registration_problems
from vision_research.console.progress_bar import counting
from vision_research.console.quiet import quiet_warnings
from vision_research.flow.detectors import Detectors, all_predictors, find_detectors
from vision_research.flow.registration import register_artifact
from vision_research.flow.test_as_trained import result_writers, subject_of, test_as_trained
from vision_research.inference.evaluate import Evaluated, evaluate
from vision_research.inference.score_table import metric_values, print_scores
from vision_research.tracking.tracked_run import adding_to

NO_TEST_SPLIT = "there is no test split: validation images, on which the checkpoint was chosen (optimistic)"


def test(command: TestCommand) -> None:
    """Evaluate a checkpoint and artifacts; a run without box or mask scores is evaluated as in its training.

    Raises:
        UserError: the configuration or a file is wrong.
    """
    quiet_warnings()
    if problems := list(registration_problems(command)):
        raise ConfigError(problems)
    detectors = find_detectors(command, command.artifact)
    subject = subject_of(detectors.config)
    writers = result_writers(command, subject)
    if subject is not None:
        test_as_trained(command, detectors, writers)
        return
    data = detectors.data(command, command.split.value)
    dataset = detectors.dataset(data)
    predictors = all_predictors(detectors, detectors.checkpoint(command, command.device.value))
    with counting(f"evaluating {data.split}", len(dataset)) as count:
        results = evaluate(predictors, dataset, data.metric, detectors.load(data), count)
    note = NO_TEST_SPLIT if data.split != command.split.value else ""
    print_scores(results, detectors.classes, f"{data.split}: {len(dataset)} images" + (f"; {note}" if note else ""))
    _record(command, detectors, data.split, results)
    if command.tracking.register_as is not None:
        print(register_artifact(command, detectors, results[-1], dataset), flush=True)


def _record(command: TestCommand, detectors: Detectors, split: str, results: Sequence[Evaluated]) -> None:
    source = detectors.source
    if source is None or (work_dir := source.recorded_in(command.tracking)) is None:
        return
    # The metrics during training have the prefix `val/`.
    prefix = "test" if split == "test" else "best_val"
    with adding_to(work_dir) as run:
        for result in results:
            own = prefix if result.name == "checkpoint" else f"{prefix}/{result.name}"
            run.log_metrics(metric_values(result, detectors.classes, own), source.iteration)
        if paths := [str(model.artifact.path.absolute()) for model in detectors.artifacts]:
            run.set_tags({f"{prefix}.artifacts": json.dumps(paths)})
