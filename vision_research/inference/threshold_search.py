"""Searches the score thresholds of a detector on its validation images, for each NMS IoU that is given."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vision_research.config.errors import ConfigError
from vision_research.console.progress_bar import counting
from vision_research.deploy.errors import ExportError
from vision_research.evaluation.matching import FoundBoxes, Matches, TrueBoxes, match
from vision_research.evaluation.threshold import Objective
from vision_research.evaluation.threshold_set import ThresholdSet, measure, objective_value, search
from vision_research.inference.evaluate import Images
from vision_research.inference.predictors import ArtifactPredictor, CheckpointPredictor, Predictor

logger = logging.getLogger(__name__)


class SplitMatcher:
    """Runs a detector on splits and matches its detections with the annotations; the matches of a split are kept.

    Args:
        predictor: the detector.
        splits: the images of `val`, and of `test` where there are any.
        iou_thr: the least overlap of a match.
    """

    def __init__(self, predictor: Predictor, splits: Mapping[str, Images], iou_thr: float) -> None:
        self.predictor = predictor
        self._splits = splits
        self._iou_thr = iou_thr
        self._matches: dict[str, list[Matches]] = {}

    def matches(self, split: str) -> list[Matches]:
        """Return the matches of each class on a split; the detector runs where none are kept."""
        if split not in self._matches:
            self._matches[split] = self.run(split)
        return self._matches[split]

    def keep_validation(self, matches: list[Matches]) -> None:
        """Keep these matches of the validation images, and none of other images."""
        self._matches = {"val": matches}

    def run(self, split: str, note: str = "") -> list[Matches]:
        """Detect on a split and match, with the current settings of the detector.

        Args:
            split: `val` or `test`.
            note: is added to the title of the progress bar.

        Returns:
            The matches of each class, in the order of the labels.
        """
        images = self._splits[split]
        found: list[FoundBoxes] = []
        with counting(f"detecting on {split}{note}", len(images.dataset)) as count:
            for _, image in images.read():
                (one,) = self.predictor.predict([image])
                found.append(FoundBoxes(one.boxes.double().numpy(), one.labels.numpy(), one.scores.double().numpy()))
                count.advance()
        infos = map(images.dataset.get_data_info, range(len(images.dataset)))
        truths = [_true_boxes(info["instances"]) for info in infos]
        return match(found, truths, len(self.predictor.classes), self._iou_thr)


@dataclass(frozen=True)
class Candidate:
    """Thresholds that were found with one NMS IoU.

    Attributes:
        value: value of the objective, the larger the better.
        thresholds: the best ones.
        nms_iou: the NMS IoU; None is the detector's own.
        matches: matches of each class on the validation images.
    """

    value: float
    thresholds: ThresholdSet
    nms_iou: float | None
    matches: list[Matches]


def search_thresholds(
    matcher: SplitMatcher,
    objective: Objective,
    min_support: int,
    nms_ious: Sequence[float] = (),
    set_nms: Callable[[float], None] = lambda value: None,
) -> Candidate | None:
    """Search thresholds on the validation images, for each NMS IoU; the best one stays set in the detector.

    Args:
        matcher: matcher of the detector; afterwards it keeps the matches on validation images with the best NMS IoU.
        objective: what the thresholds are chosen for.
        min_support: a class with fewer objects takes the common threshold.
        nms_ious: NMS IoUs to try; empty keeps the detector's own.
        set_nms: sets the NMS IoU of the detector.

    Returns:
        The best candidate, the first of equal ones; None without any detection or object.
    """
    candidates = []
    for nms_iou in list[float | None](nms_ious) or [None]:
        if nms_iou is not None:
            set_nms(nms_iou)
        matches = matcher.run("val", "" if nms_iou is None else f", NMS IoU {nms_iou:g}")
        thresholds = search(matcher.predictor.classes, matches, objective, min_support)
        if thresholds is None:
            continue
        value = objective_value(measure(thresholds, matches, num_samples=1)[-1], objective)
        if nms_iou is not None:
            logger.info("NMS IoU %g: %s %.4f", nms_iou, objective.rule, value)
        candidates.append(Candidate(value, thresholds, nms_iou, matches))
    if not candidates:
        return None
    best = max(candidates, key=lambda candidate: candidate.value)
    if best.nms_iou is not None:
        set_nms(best.nms_iou)
    matcher.keep_validation(best.matches)
    return best


def _true_boxes(instances: Sequence[dict[str, Any]]) -> TrueBoxes:
    return TrueBoxes(
        np.array([one["bbox"] for one in instances], dtype=np.float64).reshape(-1, 4),
        np.array([one["bbox_label"] for one in instances], dtype=np.int64),
        np.array([bool(one.get("ignore_flag", 0)) for one in instances], dtype=bool),
    )


def nms_setter(predictor: CheckpointPredictor | ArtifactPredictor) -> Callable[[float], None]:
    """Return a function that sets the NMS IoU of a checkpoint, or of an exported TorchScript model.

    Raises:
        ConfigError: the detector has no NMS, or its IoU is fixed in the file.
    """
    if isinstance(predictor, CheckpointPredictor):
        from vision_research.deploy.families.registry import find_family

        detector = predictor.detector
        try:
            nms = find_family(detector).test_cfg(detector).get("nms")
        except ExportError:
            nms = None
        if nms is None:
            raise ConfigError(
                f"threshold.nms_iou: {type(detector).__name__} has no NMS that is known here. Leave threshold.nms_iou "
                "out"
            )
        key = "iou_thr" if "iou_thr" in nms else "iou_threshold"
        return lambda value: nms.__setitem__(key, value)
    module = getattr(predictor.artifact.runner, "module", None)
    postprocess = getattr(getattr(module, "detector", module), "postprocess", None)
    named = [] if postprocess is None else list(postprocess.named_modules())
    found = sorted((path.count("."), path, module) for path, module in named if hasattr(module, "iou_threshold"))
    # The last NMS of the detector is the outermost one; those of proposals are nested deeper.
    outermost = [module for depth, _, module in found if depth == found[0][0]]
    if len(outermost) != 1:
        raise ConfigError(
            f"threshold.nms_iou: the NMS of {predictor.name} is built in. Search it through the checkpoint: leave "
            "artifact out"
        )
    return lambda value: setattr(outermost[0], "iou_threshold", value)
