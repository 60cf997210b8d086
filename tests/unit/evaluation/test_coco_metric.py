"""CocoDetectionMetric beside the CocoMetric it replaces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.logging import MMLogger

from vision_research.evaluation.coco_metric import CocoDetectionMetric

CLASSES = ("cat", "dog", "owl")
SIZE = 200

Sample = dict[str, Any]


def write_annotations(path: Path, category_ids: tuple[int, ...], image_ids: list[Any]) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    annotations = []
    for image_id in image_ids:
        for _ in range(int(rng.integers(1, 6))):
            left, top = rng.integers(0, SIZE // 2, size=2).tolist()
            width, height = rng.integers(8, SIZE // 2, size=2).tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category_ids[int(rng.integers(len(CLASSES)))],
                    "bbox": [left, top, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
    content = {
        "images": [{"id": number, "width": SIZE, "height": SIZE, "file_name": f"{number}.jpg"} for number in image_ids],
        "categories": [{"id": number, "name": name} for number, name in zip(category_ids, CLASSES, strict=True)],
        "annotations": annotations,
    }
    path.write_text(json.dumps(content))
    return annotations


def predict(
    annotations: list[dict[str, Any]], category_ids: tuple[int, ...], image_ids: list[Any], noise: float = 0.1
) -> list[Sample]:
    """Predict every box, perturbed by `noise`; the class of label 0 is predicted worst."""
    rng = np.random.default_rng(1)
    samples = []
    for image_id in image_ids:
        boxes, labels = [], []
        for annotation in annotations:
            if annotation["image_id"] == image_id:
                label = category_ids.index(annotation["category_id"])
                left, top, width, height = annotation["bbox"]
                shift = rng.normal(0, noise * (2 if label == 0 else 1), size=4) * [width, height, width, height]
                boxes.append(np.array([left, top, left + width, top + height]) + shift)
                labels.append(label)
        samples.append(make_sample(image_id, np.array(boxes), labels, rng.random(len(labels))))
    return samples


def make_sample(image_id: Any, boxes: np.ndarray[Any, Any], labels: list[int], scores: np.ndarray[Any, Any]) -> Sample:
    instances = {
        "bboxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "scores": torch.tensor(scores, dtype=torch.float32),
    }
    return {"img_id": image_id, "ori_shape": (SIZE, SIZE), "pred_instances": instances}


def evaluate(metric: Any, samples: list[Sample]) -> dict[str, float]:
    metric.dataset_meta = {"classes": CLASSES}
    metric.process({}, samples)
    values = metric.evaluate(len(samples))
    assert isinstance(values, dict)
    return values


def test_it_is_registered() -> None:
    assert METRICS.get("mmdet.CocoDetectionMetric") is CocoDetectionMetric


@pytest.mark.parametrize("category_ids", [(1, 2, 3), (3, 7, 90)])
def test_names_and_values_are_those_of_coco_metric(tmp_path: Path, category_ids: tuple[int, ...]) -> None:
    images = list(range(1, 21))
    annotations = write_annotations(tmp_path / "val.json", category_ids, images)
    samples = predict(annotations, category_ids, images)
    arguments = {"ann_file": str(tmp_path / "val.json"), "classwise": True}

    ours = evaluate(CocoDetectionMetric(**arguments), samples)
    theirs = evaluate(CocoMetric(**arguments), samples)

    assert set(ours) == set(theirs)
    assert 0.1 < ours["coco/bbox_mAP"] < 0.9
    for name, value in theirs.items():
        # CocoMetric rounds to three decimals.
        assert ours[name] == pytest.approx(value, abs=5.1e-4), name


def test_all_recalls_can_be_asked_for(tmp_path: Path) -> None:
    images = [1, 2, 3]
    annotations = write_annotations(tmp_path / "val.json", (1, 2, 3), images)
    samples = predict(annotations, (1, 2, 3), images)
    items = ["mAP", "AR@100", "AR@300", "AR@1000", "AR_s@1000", "AR_m@1000", "AR_l@1000"]
    arguments = {"ann_file": str(tmp_path / "val.json"), "metric_items": items}

    ours = evaluate(CocoDetectionMetric(**arguments), samples)

    assert ours == pytest.approx(evaluate(CocoMetric(**arguments), samples), abs=5.1e-4)


def test_an_unknown_item_names_the_allowed_ones(tmp_path: Path) -> None:
    annotations = write_annotations(tmp_path / "val.json", (1, 2, 3), [1])
    metric = CocoDetectionMetric(ann_file=str(tmp_path / "val.json"), metric_items=["mAP50"])

    with pytest.raises(KeyError, match=r"metric_items=\['mAP50'\].*mAP_50"):
        evaluate(metric, predict(annotations, (1, 2, 3), [1]))


def test_classes_keep_their_scores_when_the_file_lists_ids_out_of_order(tmp_path: Path) -> None:
    """CocoMetric takes the evaluation's order (by id) for the file's and gives the AP of owls to cats."""
    images = list(range(1, 21))
    annotations = write_annotations(tmp_path / "val.json", (1, 2, 3), images)
    expected = evaluate(
        CocoDetectionMetric(ann_file=str(tmp_path / "val.json"), classwise=True),
        predict(annotations, (1, 2, 3), images),
    )
    annotations = write_annotations(tmp_path / "val.json", (9, 5, 2), images)

    values = evaluate(
        CocoDetectionMetric(ann_file=str(tmp_path / "val.json"), classwise=True),
        predict(annotations, (9, 5, 2), images),
    )

    assert values == pytest.approx(expected, abs=1e-12)
    assert values["coco/cat_precision"] < values["coco/owl_precision"]


def test_no_detection_scores_zero(tmp_path: Path) -> None:
    write_annotations(tmp_path / "val.json", (1, 2, 3), [1, 2])
    samples = [make_sample(image, np.zeros((0, 4)), [], np.zeros(0)) for image in (1, 2)]

    values = evaluate(CocoDetectionMetric(ann_file=str(tmp_path / "val.json"), classwise=True), samples)

    assert values["coco/bbox_mAP"] == 0
    assert values["coco/dog_precision"] == 0


@pytest.fixture
def mmengine_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """MMEngine's logger does not propagate; listen to it directly."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def test_impossible_boxes_do_not_count_and_are_reported(tmp_path: Path, mmengine_log: pytest.LogCaptureFixture) -> None:
    images = list(range(1, 11))
    annotations = write_annotations(tmp_path / "val.json", (1, 2, 3), images)
    samples = predict(annotations, (1, 2, 3), images)
    expected = evaluate(CocoDetectionMetric(ann_file=str(tmp_path / "val.json")), samples)
    content = json.loads((tmp_path / "val.json").read_text())
    for box in ([10, 10, 0, 20], [10, 10, -5, 20], [SIZE + 1, 0, 20, 20], [-30, 0, 20, 20]):
        extra = {"id": 1000 + len(content["annotations"]), "image_id": 1, "category_id": 1, "iscrowd": 0}
        content["annotations"].append(extra | {"bbox": box, "area": 100})
    (tmp_path / "val.json").write_text(json.dumps(content))
    metric = CocoDetectionMetric(ann_file=str(tmp_path / "val.json"))

    values = evaluate(metric, samples)

    assert values == pytest.approx(expected, abs=1e-12)
    assert "4 ground truth boxes have no size or lie outside of their image" in mmengine_log.text


def test_text_ids_and_samples_with_their_own_ground_truth_score_alike(tmp_path: Path) -> None:
    """Pascal VOC: no annotation file, image ids are names, boxes travel in the samples as xyxy."""
    names = [f"{number:06d}" for number in range(12)]
    annotations = write_annotations(tmp_path / "val.json", (1, 2, 3), names)
    samples = predict(annotations, (1, 2, 3), names)
    expected = evaluate(CocoDetectionMetric(ann_file=str(tmp_path / "val.json")), samples)
    for sample in samples:
        boxes = [
            (entry["bbox"], entry["category_id"]) for entry in annotations if entry["image_id"] == sample["img_id"]
        ]
        sample["instances"] = [
            {"bbox": [x, y, x + width, y + height], "bbox_label": category - 1, "ignore_flag": 0}
            for (x, y, width, height), category in boxes
        ]

    values = evaluate(CocoDetectionMetric(), samples)

    assert values == pytest.approx(expected, abs=1e-12)


def test_a_second_evaluation_starts_afresh(tmp_path: Path) -> None:
    images = [1, 2, 3]
    annotations = write_annotations(tmp_path / "val.json", (1, 2, 3), images)
    metric = CocoDetectionMetric(ann_file=str(tmp_path / "val.json"))
    worse = evaluate(metric, predict(annotations, (1, 2, 3), images, noise=0.3))

    better = evaluate(metric, predict(annotations, (1, 2, 3), images, noise=0.0))

    assert better["coco/bbox_mAP"] == pytest.approx(1)
    assert worse["coco/bbox_mAP"] < 0.8


def test_masks_are_scored_beside_boxes(tmp_path: Path) -> None:
    images = list(range(1, 6))
    annotations = write_annotations(tmp_path / "val.json", (1, 2, 3), images)
    content = json.loads((tmp_path / "val.json").read_text())
    for annotation in content["annotations"]:
        x, y, width, height = annotation["bbox"]
        annotation["segmentation"] = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    (tmp_path / "val.json").write_text(json.dumps(content))
    samples = predict(annotations, (1, 2, 3), images, noise=0.05)
    for sample in samples:
        masks = torch.zeros((len(sample["pred_instances"]["labels"]), SIZE, SIZE), dtype=torch.bool)
        for mask, box in zip(masks, sample["pred_instances"]["bboxes"].round().int().tolist(), strict=True):
            mask[max(box[1], 0) : box[3], max(box[0], 0) : box[2]] = True
        sample["pred_instances"]["masks"] = masks
    arguments = {"ann_file": str(tmp_path / "val.json"), "metric": ["bbox", "segm"]}

    ours = evaluate(CocoDetectionMetric(**arguments), samples)

    assert 0.1 < ours["coco/segm_mAP"] < 1
    assert ours == pytest.approx(evaluate(CocoMetric(**arguments), samples), abs=5.1e-4)


def test_format_only_writes_what_coco_metric_writes(tmp_path: Path) -> None:
    annotations = write_annotations(tmp_path / "val.json", (1, 2, 3), [1, 2])
    metric = CocoDetectionMetric(
        ann_file=str(tmp_path / "val.json"), format_only=True, outfile_prefix=str(tmp_path / "results")
    )

    assert evaluate(metric, predict(annotations, (1, 2, 3), [1, 2])) == {}
    assert len(json.loads((tmp_path / "results.bbox.json").read_text())) == len(annotations)
