"""Every augmentation on real images: what comes out has the detector's size, and boxes and masks that fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict

from vision_research.config.compose import conf_dir
from vision_research.config.schema import TrainConfig
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify

AUGMENTATIONS = sorted(file.stem for file in (conf_dir() / "aug").glob("*.yaml"))
# The quick round sees these alone.
MARKS = {"none": [], "mosaic_mixup": [], "albu": [pytest.mark.extras("albumentations"), pytest.mark.slow]}
CASES = [
    pytest.param(model, aug, marks=MARKS.get(aug, [pytest.mark.slow]))
    for model in ("rtmdet_tiny", "rtmdet_ins_s")
    for aug in AUGMENTATIONS
    # Its RandomAffine moves no masks, so that it is refused: tests/unit/config/test_config_validate.py.
    if (model, aug) != ("rtmdet_ins_s", "yolox")
]


@pytest.fixture
def samples(typed: Callable[..., TrainConfig], few_digits: Path, tmp_path: Path) -> Callable[..., list[Any]]:
    """Three training samples of a lowered run."""
    register_all_modules(init_default_scope=True)

    def load(*overrides: str) -> list[Any]:
        config = typed(f"data.root={few_digits}", "data.kind=coco", "data.flip_prob=0.5", "schedule=1x", *overrides)
        tree = lower(specify(config), LoweringInputs(tmp_path, tuple("0123456789"), num_train=12))
        np.random.seed(0)  # noqa: NPY002  # what MMDetection's transforms draw from
        dataset = DATASETS.build(ConfigDict(tree["train_dataloader"]["dataset"]))
        return [dataset[index] for index in range(3)]

    return load


@pytest.mark.slow
@pytest.mark.parametrize(("model", "aug"), CASES)
def test_boxes_and_masks_fit_the_image(samples: Callable[..., list[Any]], model: str, aug: str) -> None:
    boxes = 0
    for sample in samples(f"model={model}", f"aug={aug}", "image_size=[224,224]"):
        height, width = sample["inputs"].shape[1:]
        assert (height, width) == (224, 224)
        instances = sample["data_samples"].gt_instances
        boxes += len(instances)
        for index, (left, top, right, bottom) in enumerate(instances.bboxes.tensor.tolist()):
            assert 0 <= left < right <= width and 0 <= top < bottom <= height
            if model == "rtmdet_ins_s":
                mask = instances.masks.masks[index]
                assert mask.shape == (height, width)
                rows, columns = np.nonzero(mask)
                assert rows.size == 0 or (left - 2 <= columns.min() and columns.max() <= right + 2)
    assert boxes > 0


@pytest.mark.slow
def test_flips_of_all_three_directions_mirror_image_boxes_and_masks_alike(samples: Callable[..., list[Any]]) -> None:
    (plain, *_) = samples("model=mask_rcnn", "aug=none")
    height, width = plain["inputs"].shape[1:]
    before = plain["data_samples"].gt_instances
    for direction, axes in (("horizontal", [-1]), ("vertical", [-2]), ("diagonal", [-1, -2])):
        only = f"aug.train.flip.prob=1.0 aug.train.flip.direction={direction}".split()
        (flipped, *_) = samples("model=mask_rcnn", "aug=vertical_flip", *only)
        after = flipped["data_samples"].gt_instances
        assert np.array_equal(flipped["inputs"].numpy(), np.flip(plain["inputs"].numpy(), axes))
        assert np.array_equal(after.masks.masks, np.flip(before.masks.masks, axes))
        expected = before.bboxes.tensor.clone()
        for axis, (low, high, side) in {-1: (0, 2, width), -2: (1, 3, height)}.items():
            if axis in axes:
                expected[:, [low, high]] = side - before.bboxes.tensor[:, [high, low]]
        np.testing.assert_allclose(after.bboxes.tensor.numpy(), expected.numpy(), atol=1e-4)
