"""Panoptic quality (arXiv:1801.00868) on COCO panoptic annotations; hotcoco matches the segments of each image.

Importing this module registers `PanopticQuality`. MMDetection's CocoPanopticMetric gives the same values, but needs
panopticapi, which is on no package index.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from hotcoco import COCO
from hotcoco.panoptic import PanopticEval
from mmdet.evaluation.functional import INSTANCE_OFFSET
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.fileio import get, get_text

from vision_research.datasets.coco.panoptic_png import decode_map
from vision_research.evaluation.coco_results import BoolArray, encode_mask

IntArray = npt.NDArray[np.int64]
# Columns of the counts per class: sum of the IoUs of true positives; true positives, false positives, false negatives.
IOU, MATCHED, INVENTED, MISSED = range(4)
# hotcoco's names of these.
COUNTS = ("iou", "tp", "fp", "fn")
VOID = -1


@METRICS.register_module()
class PanopticQuality(BaseMetric):
    """PQ, SQ and RQ in percent, over all classes, things (`_th`) and stuff (`_st`), and `<class>_PQ`.

    The means leave out classes that are neither annotated nor predicted.

    Args:
        ann_file: COCO panoptic JSON; its maps are in the folder of the same name without `.json`.
        backend_args: of the storage back end for both; None lets MMEngine choose.
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
        """Match the images of a batch, and store their counts.

        Args:
            data_batch: not used.
            data_samples: for each image `img_id` and `pred_panoptic_seg`, whose `sem_seg` is (1, H, W) integers.
        """
        classes = list(self.dataset_meta["classes"])
        label_of = {id_: classes.index(category["name"]) for id_, category in self.categories.items()}
        for sample in data_samples:
            annotation = self.annotations[sample["img_id"]]
            truth = decode_map(get(f"{self.folder}/{annotation['file_name']}", backend_args=self.backend_args))
            predicted = sample["pred_panoptic_seg"]["sem_seg"].cpu().numpy()[0].astype(np.int64)
            labels = predicted % INSTANCE_OFFSET
            # Heads label unassigned pixels with the number of classes, or with their own `ignore_index`.
            void = (labels >= len(classes)) | (labels == sample["pred_panoptic_seg"].get("ignore_index", len(classes)))
            segments = [
                (info["id"], label_of[info["category_id"]], bool(info.get("iscrowd")))
                for info in annotation["segments_info"]
            ]
            self.results.append(compare(truth, segments, np.where(void, VOID, predicted), len(classes)))

    def compute_metrics(self, results: list[npt.NDArray[np.float64]]) -> dict[str, float]:
        """Return the scores of all outputs of `compare`, in percent by name; NaN where no class of a kind occurs."""
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
    """Match the predicted segments of an image with the annotated ones.

    Args:
        truth: (H, W) int64, the id of the annotated segment of each pixel; ids that are not in `segments` are void.
        segments: id, label and crowd flag of each annotated segment.
        predicted: (H, W) int64, label + 1000 x number of the instance; -1 is void.
        num_classes: number of thing and stuff classes.

    Returns:
        (num_classes, 4) float64: sum of the IoUs of true positives; true positives, false positives, false negatives.
    """
    # Run lengths are encoded by columns, which takes half of the time on Fortran-ordered masks.
    truth, predicted = np.asfortranarray(truth), np.asfortranarray(predicted)
    annotated = [(truth == id_, label, False) for id_, label, is_crowd in segments if not is_crowd]
    # Like panopticapi, hotcoco reads only one crowd segment per class and image.
    crowds: dict[int, list[int]] = {}
    for id_, label, is_crowd in segments:
        if is_crowd:
            crowds.setdefault(label, []).append(id_)
    annotated += [(np.isin(truth, ids), label, True) for label, ids in crowds.items()]
    found = [(predicted == id_, int(id_ % INSTANCE_OFFSET), False) for id_ in np.unique(predicted) if id_ != VOID]
    evaluation = PanopticEval(_dataset(annotated, truth, num_classes), _dataset(found, truth, num_classes))
    evaluation.evaluate()
    per_class = evaluation.results()["per_class"]
    return np.array([[per_class[label + 1][key] for key in COUNTS] for label in range(num_classes)], dtype=np.float64)


def _dataset(segments: Sequence[tuple[BoolArray, int, bool]], image: IntArray, num_classes: int) -> COCO:
    """Build a COCO data set of one image from the mask, label and crowd flag of each segment."""
    shown = [segment for segment in segments if segment[0].any()]
    annotations = [
        {
            "id": number,
            "image_id": 1,
            "category_id": label + 1,
            "iscrowd": int(crowd),
            "segmentation": encode_mask(mask),
        }
        for number, (mask, label, crowd) in enumerate(shown, start=1)
    ]
    # Things and stuff are matched alike, but hotcoco requires the flag.
    categories = [{"id": label + 1, "name": str(label), "isthing": 1} for label in range(num_classes)]
    images = [{"id": 1, "height": image.shape[0], "width": image.shape[1]}]
    return COCO({"images": images, "categories": categories, "annotations": annotations})


def _qualities(counts: npt.NDArray[np.float64]) -> dict[str, float]:
    """Average PQ, SQ and RQ over the classes that occur, in percent; NaN where none occurs.

    `counts` is (C, 4) float64, rows as `compare` returns them, summed over images.
    """
    seen = counts[counts[:, MATCHED:].sum(axis=1) > 0]
    if len(seen) == 0:
        return dict.fromkeys(("PQ", "SQ", "RQ"), float("nan"))
    matched = seen[:, MATCHED]
    rq = matched / (matched + seen[:, INVENTED] / 2 + seen[:, MISSED] / 2)
    sq = seen[:, IOU] / np.maximum(matched, 1)
    return {"PQ": 100 * float((sq * rq).mean()), "SQ": 100 * float(sq.mean()), "RQ": 100 * float(rq.mean())}
