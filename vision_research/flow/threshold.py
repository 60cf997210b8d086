"""The `threshold` command's flow: detect on validation, search, measure on test, draw, write, record."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from vision_research.config.command_schema import ThresholdCommand
from vision_research.config.errors import ConfigError, UserError
from vision_research.engine.console import quiet_warnings
from vision_research.engine.judge import detect, judge
from vision_research.engine.predictors import ArtifactPredictor, CheckpointPredictor
from vision_research.engine.progress_bar import counting
from vision_research.engine.suppression import nms_setter
from vision_research.evaluation.matching import Matches
from vision_research.evaluation.threshold import Rule, Wanted
from vision_research.evaluation.threshold_set import Measured, ThresholdSet, measure, objective, search
from vision_research.flow.detectors import Detectors, find_detectors
from vision_research.flow.output import require_writable
from vision_research.flow.own_evaluation import require_boxes
from vision_research.flow.threshold_report import Report, record, show, write

logger = logging.getLogger(__name__)

OPTIMISTIC = "there is no test split: measured on the validation images that the thresholds were chosen on (optimistic)"


def threshold(words: ThresholdCommand) -> Report:
    """Choose thresholds for a detector and say what they do.

    Raises:
        UserError: what a person can mend, before anything is computed; or nothing to choose from was found.
    """
    quiet_warnings()
    wanted = check_words(words)
    detectors = find_detectors(words, words.artifact)
    require_boxes(detectors.config, words, "thresholds are chosen on")
    folder = _output(words, detectors)
    require_writable("threshold.output", folder / "thresholds.json")
    judged = _Judged(words, detectors)
    thresholds, nms_iou = _search(words, judged, wanted)
    matches = judged.on("test")
    report = Report(
        detector=judged.predictor.name,
        wanted=wanted,
        iou=words.threshold.iou,
        thresholds=thresholds,
        nms_iou=nms_iou,
        split=judged.split_of("test"),
        note=OPTIMISTIC if judged.split_of("test") == "val" else "",
        measured=measure(thresholds, matches, words.threshold.num_samples),
        validation=judged.on("val"),
    )
    files = write(report, folder)
    show(report, files[0])
    record(words, detectors, report, files)
    return report


def check_words(words: ThresholdCommand) -> Wanted:
    """Turn the `threshold` group into the rule, or name what is wrong with it.

    Raises:
        ConfigError: a value outside of its range; all of them at once.
    """
    group = words.threshold
    shares = {"iou": group.iou, "min_precision": group.min_precision, "min_recall": group.min_recall}
    problems = [
        f"threshold.{key}={value}: has to be over 0, and 1 at most. Type threshold.{key}=0.5"
        for key, value in [*shares.items(), *(("nms_iou", value) for value in group.nms_iou or [])]
        if not 0 < value <= 1
    ]
    costs = {"false_cost": group.false_cost, "missed_cost": group.missed_cost}
    problems += [f"threshold.{key}={value}: has to be 0 or more" for key, value in costs.items() if value < 0]
    for key in ("min_support", "num_samples"):
        if getattr(group, key) < 1:
            problems.append(f"threshold.{key}={getattr(group, key)}: has to be 1 or more")
    if problems:
        raise ConfigError(problems)
    rule: Rule = group.rule.value
    bound = {"min_precision": group.min_precision, "min_recall": group.min_recall}.get(rule, 0.0)
    return Wanted(rule, bound, group.false_cost, group.missed_cost)


class _Judged:
    """The detector, and its detections on each split, judged once."""

    def __init__(self, words: ThresholdCommand, detectors: Detectors) -> None:
        self._words = words
        self._detectors = detectors
        self._data = {split: detectors.data(words, split) for split in ("val", "test")}
        self.set_nms: Callable[[float], None] = lambda value: None
        checkpoint = None if detectors.artifacts else detectors.checkpoint(words, words.device.value)
        self.predictor: CheckpointPredictor | ArtifactPredictor = checkpoint or detectors.artifacts[0]
        if words.threshold.nms_iou:
            self.set_nms = nms_setter(self.predictor)
        self._matches: dict[str, list[Matches]] = {}

    def split_of(self, split: str) -> str:
        """Which images stand for a split."""
        return self._data[split].split

    def on(self, split: str) -> list[Matches]:
        """Return the matches of each class on a split."""
        actual = self.split_of(split)
        if actual not in self._matches:
            self._matches[actual] = self.run(actual)
        return self._matches[actual]

    def keep(self, matches: list[Matches]) -> None:
        """Take what was found on validation for later."""
        self._matches = {"val": matches}

    def run(self, split: str, name: str = "") -> list[Matches]:
        """Detect on a split, and judge."""
        data = self._data[split]
        dataset = self._detectors.dataset(data)
        with counting(f"detecting on {split}{name}", len(dataset)) as count:
            found = detect(self.predictor, dataset, self._detectors.load(data), count)
        return judge(found, dataset, len(self._detectors.classes), self._words.threshold.iou)


def _search(words: ThresholdCommand, judged: _Judged, wanted: Wanted) -> tuple[ThresholdSet, float | None]:
    """Search thresholds, for each NMS IoU that was asked for; the best of them stays set."""
    names = judged._detectors.classes
    best: tuple[float, ThresholdSet, float | None, list[Matches]] | None = None
    candidates: list[float | None] = [*(words.threshold.nms_iou or [])] or [None]
    for nms_iou in candidates:
        if nms_iou is not None:
            judged.set_nms(nms_iou)
        matches = judged.run("val", "" if nms_iou is None else f", NMS IoU {nms_iou:g}")
        found = search(names, matches, wanted, words.threshold.min_support)
        if found is None:
            continue
        value = objective(_everything(found, matches), wanted)
        if nms_iou is not None:
            logger.info("NMS IoU %g: %s %.4f", nms_iou, wanted.rule, value)
        if best is None or value > best[0]:
            best = (value, found, nms_iou, matches)
    if best is None:
        raise UserError(
            "there is nothing to choose thresholds from: no detection or no object on the validation images. Train "
            "longer, or type data.val_ann=FILE"
        )
    if best[2] is not None:
        judged.set_nms(best[2])
    judged.keep(best[3])
    return best[1], best[2]


def _everything(found: ThresholdSet, matches: list[Matches]) -> Measured:
    return measure(found, matches, num_samples=1)[-1]


def _output(words: ThresholdCommand, detectors: Detectors) -> Path:
    if words.threshold.output:
        return Path(words.threshold.output).absolute()
    source = detectors.source
    beside = detectors.artifacts[0].artifact.path.absolute().parent if source is None else source.export_dir.parent
    return beside / "thresholds"
