"""Panoptic quality (arXiv:1801.00868), against COCO's panoptic annotations, in plain numpy.

Importing this module registers `PanopticQuality`. MMDetection's CocoPanopticMetric gives the same values, and needs
panopticapi, which is on no package index.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from mmdet.evaluation.functional import INSTANCE_OFFSET
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.fileio import get, get_text

from vision_research.evaluation.panoptic_map import decode_map

IntArray = npt.NDArray[np.int64]
# Of an image, by class: sum of the IoUs of matched segments, and counts of matched, invented and missed ones.
IOU, MATCHED, INVENTED, MISSED = range(4)
MATCH_IOU = 0.5
VOID = -1


@METRICS.register_module()
class PanopticQuality(BaseMetric):
    """PQ, SQ and RQ in percent, over all classes, things (`_th`) and stuff (`_st`), and `<class>_PQ`.

    A class that is neither in the images nor in the predictions counts in no mean.

    Args:
        ann_file: COCO panoptic JSON; its maps lie in the folder of the same name without `.json`.
        backend_args: how both are read; None is MMEngine's choice.
        **kwargs: of MMEngine's BaseMetric.
    """

    default_prefix = "panoptic"

    def __init__(self, ann_file: str, backend_args: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        tree = json.loads(get_text(ann_file, backend_args=backend_args))
        self.folder, self.backend_args = ann_file.removesuffix(".json"), backend_args
        self.categories = {category["id"]: category for category in tree["categories"]}
        self.annotations = {annotation["image_id"]: annotation for annotation in tree["annotations"]}

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Compare the images of a batch, and keep the counts of each."""
        classes = list(self.dataset_meta["classes"])
        label_of = {id_: classes.index(category["name"]) for id_, category in self.categories.items()}
        for sample in data_samples:
            annotation = self.annotations[sample["img_id"]]
            truth = decode_map(get(f"{self.folder}/{annotation['file_name']}", backend_args=self.backend_args))
            predicted = sample["pred_panoptic_seg"]["sem_seg"].cpu().numpy()[0].astype(np.int64)
            labels = predicted % INSTANCE_OFFSET
            # Heads call a pixel that they leave out by the number behind the last class, or by one of their own.
            void = (labels >= len(classes)) | (labels == sample["pred_panoptic_seg"].get("ignore_index", len(classes)))
            segments = [
                (info["id"], label_of[info["category_id"]], bool(info.get("iscrowd")))
                for info in annotation["segments_info"]
            ]
            self.results.append(compare(truth, segments, np.where(void, VOID, predicted), len(classes)))

    def compute_metrics(self, results: list[npt.NDArray[np.float64]]) -> dict[str, float]:
        """Return the values of all images together."""
        counts = np.sum(results, axis=0)
        classes = list(self.dataset_meta["classes"])
        is_thing = {category["name"]: bool(category["isthing"]) for category in self.categories.values()}
        things = np.array([is_thing[name] for name in classes])
        values = {
            f"{name}{suffix}": value
            for suffix, chosen in (("", np.ones_like(things)), ("_th", things), ("_st", ~things))
            for name, value in _qualities(counts[chosen]).items()
        }
        return values | {f"{name}_PQ": _qualities(counts[[index]])["PQ"] for index, name in enumerate(classes)}


def compare(
    truth: IntArray, segments: Sequence[tuple[int, int, bool]], predicted: IntArray, num_classes: int
) -> npt.NDArray[np.float64]:
    """Match the predicted segments of an image with its true ones.

    Args:
        truth: (H, W) int64, the id of the true segment of each pixel; other ids are void.
        segments: of each true segment its id, label, and whether it is a crowd.
        predicted: (H, W) int64, label + 1000 x number of the instance; -1 is void.
        num_classes: things and stuff.

    Returns:
        (num_classes, 4) float64: sum of IoUs, and counts of matched, invented and missed segments.
    """
    counts = np.zeros((num_classes, 4))
    ids, numbers = np.unique(truth, return_inverse=True)
    ours, places = np.unique(predicted, return_inverse=True)
    # Pixels that each pair of segments shares.
    shared = np.zeros((len(ids), len(ours)), dtype=np.int64)
    np.add.at(shared, (numbers.ravel(), places.ravel()), 1)
    row_of = {int(id_): row for row, id_ in enumerate(ids)}
    real = [(row_of[id_], label, crowd) for id_, label, crowd in segments if id_ in row_of]
    void = np.setdiff1d(np.arange(len(ids)), [row for row, _, _ in real])
    matched: set[int] = set()
    for row, label, crowd in real:
        if crowd:
            continue
        # More than half of the union can be shared with one segment alone.
        area = shared[row].sum() + shared.sum(axis=0) - shared[row] - shared[void].sum(axis=0)
        iou = np.where((ours % INSTANCE_OFFSET == label) & (ours != VOID), shared[row] / area, 0)
        best = int(iou.argmax())
        if iou[best] > MATCH_IOU:
            matched.add(best)
            counts[label, [IOU, MATCHED]] += iou[best], 1
        else:
            counts[label, MISSED] += 1
    for place, ident in enumerate(ours):
        if ident == VOID or place in matched:
            continue
        label = int(ident % INSTANCE_OFFSET)
        # What lies mostly where nothing is to be found, or in a crowd of its class, is no mistake.
        excused = shared[void, place].sum() + sum(
            shared[row, place] for row, one, crowd in real if crowd and one == label
        )
        if excused / shared[:, place].sum() <= MATCH_IOU:
            counts[label, INVENTED] += 1
    return counts


def _qualities(counts: npt.NDArray[np.float64]) -> dict[str, float]:
    seen = counts[counts[:, MATCHED:].sum(axis=1) > 0]
    if len(seen) == 0:
        return dict.fromkeys(("PQ", "SQ", "RQ"), float("nan"))
    matched = seen[:, MATCHED]
    rq = matched / (matched + seen[:, INVENTED] / 2 + seen[:, MISSED] / 2)
    sq = seen[:, IOU] / np.maximum(matched, 1)
    return {"PQ": 100 * float((sq * rq).mean()), "SQ": 100 * float(sq.mean()), "RQ": 100 * float(rq.mean())}
