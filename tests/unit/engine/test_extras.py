"""Packages beyond the project's own: each is named once, by the first word that needs it, with what to type."""

from __future__ import annotations

import re
from typing import Any

import pytest

from vision_research.engine import extras
from vision_research.engine.extras import missing_extras


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"language_model": {"type": "BertModel"}},
            r"^model\.language_model\.type=BertModel: needs transformers and nltk, which are not installed. Type "
            r"python -m pip install 'transformers<5' nltk$",
        ),
        (
            {"encoder": {"num_cp": 6}},
            r"^model\.encoder\.num_cp: needs fairscale, which is not installed. Type python -m pip install fairscale, "
            r"or model\.encoder\.num_cp=0 ",
        ),
        (
            {"train_cfg": {"rcnn": {"assigner": {"type": "MaxIoUAssigner", "perm_repeat_gt_cfg": {"iou_thr": 0.7}}}}},
            r"needs torchvision, .*, or model\.train_cfg\.rcnn\.assigner\.perm_repeat_gt_cfg=null ",
        ),
        (
            {"roi_layer": {"type": "RoIAlign", "use_torchvision": True}},
            r"^model\.roi_layer\.use_torchvision: needs torchvision, .*, or model\.roi_layer\.use_torchvision=false ",
        ),
        (
            {"type": "BoxInst", "data_preprocessor": {"type": "BoxInstDataPreprocessor"}},
            r"needs skimage, .* Type python -m pip install scikit-image$",
        ),
        ({"type": "Detectron2Wrapper"}, r"^model\.type=Detectron2Wrapper: needs detectron2.*facebookresearch"),
        (
            {"reid": {"type": "BaseReID", "backbone": {"type": "mmpretrain.ResNet"}}},
            r"^model\.reid\.type=BaseReID: needs mmpretrain and torchvision, .*'vision-research\[mmpretrain\]'$",
        ),
    ],
)
def test_a_package_is_named_once_with_what_to_type(model: dict[str, Any], message: str) -> None:
    (problem,) = missing_extras({"model": model})
    assert re.search(message, problem), problem


@pytest.mark.parametrize(
    "model", [{"num_cp": -1}, {"num_cp": 0}, {"perm_repeat_gt_cfg": None}, {"use_torchvision": False}, {"type": "GFL"}]
)
def test_what_needs_no_package_names_none(model: dict[str, Any]) -> None:
    assert missing_extras({"model": model}) == []


def test_every_package_is_told_at_once() -> None:
    tree = {
        "val_evaluator": [{"type": "CocoPanopticMetric"}, {"type": "LVISMetric"}],
        "train_dataloader": {"dataset": {"type": "LVISV1Dataset", "pipeline": [{"type": "LoadPanopticAnnotations"}]}},
    }
    panoptic, lvis = missing_extras(tree)
    assert panoptic.startswith("val_evaluator.0.type=CocoPanopticMetric: needs panopticapi")
    assert lvis.startswith("val_evaluator.1.type=LVISMetric: needs lvis")
