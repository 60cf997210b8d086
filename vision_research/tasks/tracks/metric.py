"""Average precision of masks in videos (YouTube-VIS, arXiv:1905.04804), computed by hotcoco.

Importing this module registers `VideoMaskMetric`. The values are those of MMDetection's YouTubeVISMetric, which fails
with current numpy (`np.float`), at the second validation of a run (it clears its list of videos) and without
detections, and which gathers the results of the ranks through a folder below the current one.

YouTube-VIS' evaluation is COCO's, with the masks of all frames in place of the mask of an image. So the masks of an
object are concatenated along the width: intersection and union of two wide masks are the sums over the frames.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from hotcoco import COCO, COCOeval
from mmdet.evaluation.metrics import YouTubeVISMetric
from mmdet.registry import METRICS
from mmengine.dist import all_gather_object

from vision_research.evaluation.coco_results import BoolArray, decode_mask, encode_mask
from vision_research.evaluation.coco_score import CocoScores, run_evaluation

DEFAULT_ITEMS = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l", "AR@1", "AR@10")
# Square pixels, for all objects and for small, medium and large ones: YouTube-VIS' own.
AREA_RANGES = [[0.0, 1e10], [0.0, 128.0**2], [128.0**2, 256.0**2], [256.0**2, 1e10]]
# Detected or annotated objects of videos, as in YouTube-VIS' JSON.
Tubes = list[dict[str, Any]]


@METRICS.register_module()
class VideoMaskMetric(YouTubeVISMetric):
    """AP and AR of instance masks in videos; takes the arguments of `YouTubeVISMetric`.

    The prefix is `youtube_vis`, and names begin with `segm_`: `segm_mAP`, `segm_mAP_50`, ..., `segm_AR@10`. The area of
    an object is the mean over its frames; small is below 128 x 128 pixels. A range without objects scores -1.
    """

    _vis_meta_info: defaultdict[str, list[dict[str, Any]]]

    def evaluate(self, size: int) -> dict[str, float]:
        """Score the results of all ranks, by name with prefix; `size` is the number of videos in the data set."""
        gathered = all_gather_object((self.results, self._vis_meta_info["videos"]))
        self._vis_meta_info["videos"] = [video for _, videos in gathered for video in videos]
        values = self.compute_metrics([result for results, _ in gathered for result in results])
        self.results.clear()
        self._vis_meta_info = defaultdict(list)
        return {f"{self.prefix}/{name}": value for name, value in values.items()}

    def compute_metrics(self, results: Sequence[tuple[Tubes, Tubes]]) -> dict[str, float]:
        """Score the detected and annotated objects of each video, by name without prefix."""
        found = [tube for predictions, _ in results for tube in predictions]
        truth = self.format_gts([truths for _, truths in results])
        if self.format_only:
            self.save_pred_results(found)
            return {}
        names = DEFAULT_ITEMS if self.metric_items is None else self.metric_items
        if not found:
            return {f"segm_{name}": 0.0 for name in names}
        scores = _score_tubes(truth, found)
        return {f"segm_{name}": scores.stats[name] for name in names}


def _score_tubes(truth: dict[str, Any], found: Tubes) -> CocoScores:
    """Score the masks of objects in videos, as YouTube-VIS' evaluation does.

    `truth` has `videos`, `categories` and `annotations` with `segmentations` and `areas` by frame (None where the
    object is not in the frame); crowds are matched as in COCO. `found` has `video_id`, `category_id`, `score` and
    `segmentations` by frame.
    """
    sizes = {video["id"]: (video["height"], video["width"]) for video in truth["videos"]}
    # The wide masks contain their own size; COCO's evaluation does not read that of the image.
    images = [{"id": number, "height": height, "width": width} for number, (height, width) in sizes.items()]
    annotated = []
    for number, tube in enumerate(truth["annotations"], start=1):
        areas = {"area": _mean_area(tube["areas"]), "iscrowd": int(tube["iscrowd"])}
        annotated.append(_as_image(number, tube, _frames(tube, *sizes[tube["video_id"]])) | areas)
    detected = []
    for number, tube in enumerate(found, start=1):
        frames = _frames(tube, *sizes[tube["video_id"]])
        areas = {"area": _mean_area(frames.sum(axis=(1, 2)).tolist()), "iscrowd": 0}
        detected.append(_as_image(number, tube, frames) | areas | {"score": tube["score"]})
    coco = {"images": images, "categories": truth["categories"]}
    # `COCO.load_res` would replace the mean area by that of the wide mask.
    sides = (COCO({**coco, "annotations": annotated}), COCO({**coco, "annotations": detected}))
    evaluation = COCOeval(*sides, iou_type="segm")
    evaluation.params.area_rng = AREA_RANGES
    evaluation.params.max_dets = [1, 10, 100]
    return run_evaluation(evaluation)


def _frames(tube: dict[str, Any], height: int, width: int) -> BoolArray:
    """Decode the masks of an object, (T, H, W) bool; all False in a frame without the object."""
    frames = np.zeros((len(tube["segmentations"]), height, width), dtype=np.bool_)
    for frame, segmentation in zip(frames, tube["segmentations"], strict=True):
        if segmentation:
            frame[:] = decode_mask(segmentation, height, width)
    return frames


def _as_image(number: int, tube: dict[str, Any], frames: BoolArray) -> dict[str, Any]:
    """Convert an object to an annotation of one image, with its (T, H, W) masks concatenated along the width."""
    wide = encode_mask(np.concatenate(list(frames), axis=1))
    return {"id": number, "image_id": tube["video_id"], "category_id": tube["category_id"], "segmentation": wide}


def _mean_area(areas: Sequence[float | None]) -> float:
    """Average the areas of an object over the frames that contain it; 0 without such a frame."""
    shown = [area for area in areas if area]
    return float(np.mean(shown)) if shown else 0.0
