"""The `test` command's flow: find the detectors, evaluate them side by side, show, record."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from vision_research.config.command_schema import TestCommand
from vision_research.config.errors import ConfigError
from vision_research.engine.console import quiet_warnings
from vision_research.engine.evaluate import Evaluated, evaluate
from vision_research.engine.progress_bar import counting
from vision_research.flow.detectors import Detectors, all_predictors, find_detectors
from vision_research.flow.own_evaluation import scored_subject, test_as_trained
from vision_research.flow.registration import check_registration, register_artifact
from vision_research.tracking.addition import adding_to

PREFIX = "coco/"
SHOWN = {"mAP": "bbox_mAP", "mAP50": "bbox_mAP_50", "mAP75": "bbox_mAP_75", "mask mAP": "segm_mAP"}
CLASS_SUFFIX = "_precision"
NO_TEST_SPLIT = "there is no test split: validation images, on which the checkpoint was chosen (optimistic)"


def test(words: TestCommand) -> None:
    """Evaluate a checkpoint and artifacts; where boxes alone are not the score, the checkpoint as its training did.

    Raises:
        UserError: what a person can mend, before anything is computed.
    """
    quiet_warnings()
    check_registration(words)
    detectors = find_detectors(words, words.artifact)
    if scored_subject(detectors.config) is not None:
        test_as_trained(words, detectors)
        return
    if words.proposals is not None:
        raise ConfigError(f"proposals={words.proposals}: proposals are what an RPN finds. Type run=RUN_OF_AN_RPN")
    data = detectors.data(words, words.split.value)
    dataset = detectors.dataset(data)
    predictors = all_predictors(detectors, detectors.checkpoint(words, words.device.value))
    with counting(f"evaluating {data.split}", len(dataset)) as count:
        results = evaluate(predictors, dataset, data.metric, detectors.load(data), count)
    note = NO_TEST_SPLIT if data.split != words.split.value else ""
    _show(results, detectors.classes, f"{data.split}: {len(dataset)} images" + (f"; {note}" if note else ""))
    _record(words, detectors, data.split, results)
    if words.tracking.register_as is not None:
        print(register_artifact(words, detectors, results[-1], dataset), flush=True)


def metric_values(result: Evaluated, classes: Sequence[str], prefix: str) -> dict[str, float]:
    """Name the values of one detector as they are recorded.

    Args:
        result: what it did.
        classes: names, in the order of the labels.
        prefix: what the names begin with.
    """
    plain = {name.removeprefix(PREFIX): value for name, value in result.scores.items()}
    classwise = {f"AP/{name}": plain.pop(f"{name}{CLASS_SUFFIX}", math.nan) for name in classes}
    values = {**plain, **classwise, "latency_ms": 1000 * result.latency_s}
    return {f"{prefix}/{name}": value for name, value in values.items() if not math.isnan(value)}


def _show(results: Sequence[Evaluated], classes: Sequence[str], title: str) -> None:
    present = {name: key for name, key in SHOWN.items() if any(PREFIX + key in result.scores for result in results)}
    table = Table("", *present, "ms an image", box=None)
    for result in results:
        values = [_text(result.scores.get(PREFIX + key, math.nan)) for key in present.values()]
        table.add_row(result.name, *values, f"{1000 * result.latency_s:.1f}")
    by_class = Table("AP", *(result.name for result in results), box=None)
    for name in classes:
        by_class.add_row(
            name, *(_text(result.scores.get(f"{PREFIX}{name}{CLASS_SUFFIX}", math.nan)) for result in results)
        )
    console = Console(highlight=False, markup=False)
    console.print(f"\n{title}", soft_wrap=True)
    console.print(table)
    console.print(by_class)


def _text(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _record(words: TestCommand, detectors: Detectors, split: str, results: Sequence[Evaluated]) -> None:
    source = detectors.source
    if source is None or (work_dir := source.recorded_in(words.tracking)) is None:
        return
    # `val/` is the curve of the training.
    prefix = "test" if split == "test" else "best_val"
    with adding_to(work_dir) as run:
        for result in results:
            own = prefix if result.name == "checkpoint" else f"{prefix}/{result.name}"
            run.log_metrics(metric_values(result, detectors.classes, own), source.iteration)
        if paths := [str(model.artifact.path.absolute()) for model in detectors.artifacts]:
            run.set_tags({f"{prefix}.artifacts": json.dumps(paths)})
