"""A look at Pascal VOC folders, and the data set that reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules

import vision_research.datasets.voc.dataset  # noqa: F401  # registers VOCFolderDataset
from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataConfig, DataKind
from vision_research.datasets.facts import DatasetFacts, gather_facts
from vision_research.datasets.formats import all_split_files

OBJECT = (
    "<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>"
    "<xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox></object>"
)
Box = tuple[float, float, float, float]


def voc_xml(*objects: tuple[str, Box], difficult: int = 0, size: tuple[int, int] = (60, 40)) -> str:
    parts = [
        OBJECT.format(name=name, difficult=difficult, xmin=box[0], ymin=box[1], xmax=box[2], ymax=box[3])
        for name, box in objects
    ]
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{''.join(parts)}</annotation>"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three training images and two validation images in the layout of VOC2007."""
    root = tmp_path / "VOC2007"
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    splits = {"train": ["000001", "000002", "000003"], "val": ["000004", "000005"]}
    for split, names in splits.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            cv2.imwrite(str(root / "JPEGImages" / f"{name}.jpg"), np.zeros((40, 60, 3), np.uint8))
            (root / "Annotations" / f"{name}.xml").write_text(
                voc_xml(("dog", (1, 1, 30, 20)), ("cat", (11, 6, 60, 40)))
            )
    return root


def gather(root: Path, **changes: Any) -> DatasetFacts:
    typed = {
        "kind": DataKind.voc,
        "root": str(root),
        "train_ann": "ImageSets/Main/train.txt",
        "val_ann": "ImageSets/Main/val.txt",
        "img_prefix": "JPEGImages/",
    }
    data = DataConfig(**(typed | changes))
    return gather_facts(Path(data.root), all_split_files(data, ("train", "val", "test")), data.classes, data.strict)


def problems_of(root: Path, **changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as error:
        gather(root, **changes)
    return error.value.problems


def test_classes_are_read_from_the_training_annotations_and_sorted(root: Path) -> None:
    facts = gather(root)

    assert facts.classes == ("cat", "dog")
    assert (facts.num_train, facts.num_val, facts.counts.get("test")) == (3, 2, None)
    assert facts.warnings == ()
    assert len(facts.digest) == 16


def test_an_annotation_changes_the_digest(root: Path) -> None:
    before = gather(root).digest

    (root / "Annotations" / "000005.xml").write_text(voc_xml(("dog", (2, 1, 30, 20))))

    assert gather(root).digest != before


def test_a_class_of_validation_alone_is_warned_of(root: Path) -> None:
    (root / "Annotations" / "000005.xml").write_text(voc_xml(("owl", (2, 1, 30, 20))))

    (warning,) = gather(root).warnings

    assert "owl not among the training annotations, and left out of the score" in warning


def test_boxes_without_size_or_outside_are_warned_of_or_refused(root: Path) -> None:
    boxes = [("cat", (5, 5, 5, 9)), ("cat", (70, 5, 80, 9)), ("cat", (5, 5, 9, 9))]
    (root / "Annotations" / "000001.xml").write_text(voc_xml(*boxes))

    warnings = gather(root).warnings

    prefix = "data.train_ann=ImageSets/Main/train.txt: "
    remedy = "They are dropped; data.strict=true refuses them"
    assert warnings == (
        f"{prefix}1 box of zero size or under 1 pixel (000001.xml cat box [4, 4, 4, 8]). {remedy}",
        f"{prefix}1 box outside the image (000001.xml cat box [69, 4, 79, 8]). {remedy}",
    )
    assert len(problems_of(root, strict=True)) == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "has no images. It lists one image name without suffix a line"),
        ("000001\n\n000002\n", "lines that are empty or begin or end with a blank: line 2 ''. Remove them"),
        ("000001 \n", "begin or end with a blank: line 1 '000001 '"),
        ("000001 -1\n000002  1\n", "is the list of one class (each line ends in 1 or -1). Type the list of the split"),
    ],
)
def test_a_list_that_is_no_list_of_images_is_refused(root: Path, content: str, expected: str) -> None:
    (root / "ImageSets" / "Main" / "train.txt").write_text(content)

    assert expected in problems_of(root)[0]


def test_a_binary_list_is_refused(root: Path) -> None:
    assert (
        "data.train_ann=JPEGImages/000001.jpg: is no text file"
        in problems_of(root, train_ann="JPEGImages/000001.jpg")[0]
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<annotation>", "no element found"),
        ("{}", "not well-formed"),
        ("<annotation><object><name>cat</name></object></annotation>", "an object without bndbox"),
        (voc_xml(("", (1, 1, 5, 5))), "object without name"),
        (voc_xml(("cat", (1, 1, float("nan"), 5))), "cannot convert float NaN to integer"),
        (voc_xml(("cat", (1, 1, float("inf"), 5))), "cannot convert float infinity to integer"),
        (voc_xml(("cat", (1, 1, 5, 5)), size=(0, 40)), "size 0 x 40"),
    ],
)
def test_an_annotation_file_that_cannot_be_read_is_named(root: Path, content: str, reason: str) -> None:
    (root / "Annotations" / "000002.xml").write_text(content)

    (problem,) = problems_of(root)

    assert f"data.train_ann=ImageSets/Main/train.txt: 1 annotation file not Pascal VOC: 000002.xml ({reason}" in problem


def test_missing_annotations_and_images_are_named(root: Path) -> None:
    (root / "Annotations" / "000001.xml").unlink()
    (root / "JPEGImages" / "000002.jpg").rename(root / "JPEGImages" / "000002.png")

    annotations, images = problems_of(root)

    assert f"1 annotation file not in {root}/Annotations: 000001.xml" in annotations
    assert images.startswith(
        f"data.img_prefix=JPEGImages: 1 of 3 images in {root}/ImageSets/Main/train.txt are not there"
    )


def build(root: Path, *, test_mode: bool, pipeline: list[dict[str, Any]] | None = None, **more: Any) -> Any:
    register_all_modules(init_default_scope=True)
    return DATASETS.build(
        {
            "type": "VOCFolderDataset",
            "data_root": str(root),
            "ann_file": "ImageSets/Main/train.txt",
            "data_prefix": {"sub_data_root": ""},
            "img_subdir": "JPEGImages",
            "ann_subdir": "Annotations",
            "metainfo": {"classes": ("cat", "dog")},
            "pipeline": pipeline or [],
            "test_mode": test_mode,
            **more,
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("test_mode", [False, True])
def test_the_data_set_drops_what_the_look_said_it_drops(root: Path, test_mode: bool) -> None:
    boxes = [("cat", (5, 5, 5, 9)), ("cat", (70, 5, 80, 9)), ("dog", (5, 6, 9, 10)), ("owl", (5, 5, 9, 9))]
    (root / "Annotations" / "000001.xml").write_text(voc_xml(*boxes))

    sample = build(root, test_mode=test_mode).get_data_info(0)

    assert sample["instances"] == [{"bbox": [4, 5, 8, 9], "bbox_label": 1, "ignore_flag": 0}]
    assert sample["img_path"] == str(root / "JPEGImages" / "000001.jpg")
    assert (sample["img_id"], sample["width"], sample["height"]) == ("000001", 60, 40)


@pytest.mark.slow
def test_its_samples_carry_the_names_of_the_classes_where_they_are_asked_for(root: Path) -> None:
    sample = build(root, test_mode=True, return_classes=True).get_data_info(0)
    assert (sample["text"], sample["custom_entities"]) == (("cat", "dog"), True)
    assert "text" not in build(root, test_mode=True).get_data_info(0)


@pytest.mark.slow
def test_its_samples_carry_the_ground_truth_that_the_metric_scores_against(root: Path) -> None:
    import torch
    from mmengine.structures import InstanceData

    from vision_research.evaluation.coco_metric import CocoDetectionMetric

    keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "instances")
    dataset = build(
        root,
        test_mode=True,
        pipeline=[
            {"type": "LoadImageFromFile"},
            {"type": "LoadAnnotations", "with_bbox": True},
            {"type": "PackDetInputs", "meta_keys": keys},
        ],
    )
    metric = CocoDetectionMetric(classwise=True)
    metric.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        sample = dataset[index]["data_samples"]
        boxes = torch.tensor([[10.0, 5.0, 59.0, 39.0]])
        sample.pred_instances = InstanceData(bboxes=boxes, labels=torch.tensor([0]), scores=torch.tensor([0.9]))
        metric.process({}, [sample.to_dict()])

    values = metric.evaluate(len(dataset))

    assert values["coco/cat_precision"] == pytest.approx(1)
    assert values["coco/dog_precision"] == 0
    assert values["coco/bbox_mAP"] == pytest.approx(0.5)
