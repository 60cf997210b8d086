"""The steps of the `threshold` command: detect on validation images, search, measure on test images, write, record."""

from __future__ import annotations

import json
from pathlib import Path

from vision_research.config.command_schema import ThresholdCommand
from vision_research.config.errors import UserError
from vision_research.console.quiet import quiet_warnings
from vision_research.evaluation.threshold import objective_of
from vision_research.evaluation.threshold_report import Report
from vision_research.evaluation.threshold_set import measure
from vision_research.flow.detectors import Detectors, find_detectors
from vision_research.flow.test_as_trained import require_boxes
from vision_research.inference.threshold_search import SplitMatcher, nms_setter, search_thresholds
from vision_research.storage.typed_files import require_writable
from vision_research.visualization.threshold_output import print_report, write_report

OPTIMISTIC = "there is no test split: measured on the validation images that the thresholds were chosen on (optimistic)"

NOTHING_FOUND = (
    "there is nothing to choose thresholds from: no detection or no object on the validation images. Train longer, or "
    "type data.val_ann=FILE"
)


def threshold(command: ThresholdCommand) -> Report:
    """Choose the score thresholds of a detector, measure, write and record them.

    Raises:
        UserError: the configuration or a file is wrong, or there is no detection or no object to choose from.
    """
    quiet_warnings()
    group, objective = command.threshold, objective_of(command.threshold)
    detectors = find_detectors(command)
    require_boxes(detectors.config, command, "thresholds are chosen on")
    folder = _output(command, detectors)
    require_writable("threshold.output", folder / "thresholds.json")
    data = {split: detectors.data(command, split) for split in ("val", "test")}
    measured_on = data["test"].split
    predictor = detectors.chosen(command)
    set_nms = nms_setter(predictor) if group.nms_iou else lambda value: None
    splits = {"val": data["val"], measured_on: data["test"]}
    matcher = SplitMatcher(predictor, {name: detectors.images(one) for name, one in splits.items()}, group.iou)
    best = search_thresholds(matcher, objective, group.min_support, group.nms_iou or (), set_nms)
    if best is None:
        raise UserError(NOTHING_FOUND)
    note = OPTIMISTIC if measured_on == "val" else ""
    measured = measure(best.thresholds, matcher.matches(measured_on), group.num_samples)
    report = Report(
        predictor.name, objective, group.iou, best.thresholds, best.nms_iou, measured_on, note, measured, best.matches
    )
    files = write_report(report, folder)
    print_report(report, files[0])
    tags = {"threshold.rule": json.dumps(vars(report.objective)), "threshold.detector": report.detector}
    detectors.record(command, report.metrics(), tags, files)
    return report


def _output(command: ThresholdCommand, detectors: Detectors) -> Path:
    if command.threshold.output:
        return Path(command.threshold.output).absolute()
    source = detectors.source
    beside = detectors.artifacts[0].artifact.path.absolute().parent if source is None else source.export_dir.parent
    return beside / "thresholds"
