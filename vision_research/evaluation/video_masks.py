"""Average precision of masks through videos (YouTube-VIS, arXiv:1905.04804): MMDetection's metric, made to run.

Importing this module registers `VideoMaskMetric`. The values are those of MMDetection's YouTubeVISMetric, which fails
with the numpy of today (`np.float`), at the second validation of a run (its notes of videos are gone by then), where
nothing was found, and gathers the ranks' results through a folder below the current one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from mmdet.evaluation.functional import YTVIS, YTVISeval
from mmdet.evaluation.metrics import YouTubeVISMetric
from mmdet.registry import METRICS
from mmengine.dist import all_gather_object
from pycocotools.cocoeval import COCOeval

# What is named as YouTubeVISMetric names it, by its place in the evaluation's statistics.
STATISTICS = {"mAP": 0, "mAP_50": 1, "mAP_75": 2, "mAP_s": 3, "mAP_m": 4, "mAP_l": 5, "AR@1": 6, "AR@10": 7}
# A tube of masks that was found, and one that is there: lists of dicts as YouTube-VIS' JSON has them.
Tubes = list[dict[str, Any]]


class TubeEvaluation(YTVISeval):
    """YouTube-VIS' evaluation, which is COCO's over videos in the place of images."""

    def accumulate(self, p: Any = None) -> None:
        """Sum up over videos, with COCO's own code: it is the same, without a name that numpy has given up."""
        self._paramsEval.imgIds = self.params.imgIds = self.params.vidIds
        COCOeval.accumulate(self, p)


@METRICS.register_module()
class VideoMaskMetric(YouTubeVISMetric):
    """AP and AR of instance masks through whole videos; takes the arguments of `YouTubeVISMetric`.

    Values have the prefix `youtube_vis` and begin with `segm_`: `segm_mAP`, `segm_mAP_50`, ..., `segm_AR@10`; the area
    of an object is the mean of its boxes, small below 128 x 128 pixels. -1 is a range of areas without ground truth.
    """

    _vis_meta_info: defaultdict[str, list[dict[str, Any]]]

    def evaluate(self, size: int) -> dict[str, float]:
        """Score what all ranks have found.

        Args:
            size: videos of the data set.

        Returns:
            Values by name, with prefix.
        """
        gathered = all_gather_object((self.results, self._vis_meta_info["videos"]))
        self._vis_meta_info["videos"] = [video for _, videos in gathered for video in videos]
        values = self.compute_metrics([result for results, _ in gathered for result in results])
        self.results.clear()
        self._vis_meta_info = defaultdict(list)
        return {f"{self.prefix}/{name}": value for name, value in values.items()}

    def compute_metrics(self, results: Sequence[tuple[Tubes, Tubes]]) -> dict[str, float]:
        """Score the results of a whole data set.

        Args:
            results: per video what was found and what is there.

        Returns:
            Values by name, without prefix.
        """
        found = [tube for predictions, _ in results for tube in predictions]
        truth = self.format_gts([truths for _, truths in results])
        if self.format_only:
            self.save_pred_results(found)
            return {}
        names = list(STATISTICS) if self.metric_items is None else list(self.metric_items)
        if not found:
            # The evaluation looks at the first of what was found to see of which kind it is.
            return {f"segm_{name}": 0.0 for name in names}
        with redirect_stdout(StringIO()):
            there = YTVIS(truth)
            evaluation = TubeEvaluation(there, there.loadRes(found), "segm")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return {f"segm_{name}": float(evaluation.stats[STATISTICS[name]]) for name in names}
