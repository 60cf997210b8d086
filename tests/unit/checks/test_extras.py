"""Packages beyond the project's own: each is named once, by the first word that needs it, with what to type."""

from __future__ import annotations

import re
from typing import Any

import pytest

from vision_research.checks import extras
from vision_research.checks.extras import missing_extras


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"language_model": {"type": "BertModel"}},
            r"^model\.language_model\.type=BertModel: needs transformers, which is not installed. Type "
            r"python -m pip install 'vision-research\[language\]'$",
        ),
        (
            {"encoder": {"num_cp": 6}},
            r"^model\.encoder\.num_cp: needs fairscale, which is not installed. Type python -m pip install "
            r"'vision-research\[language\]' \(or fairscale alone\), or model\.encoder\.num_cp=0 ",
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


def test_what_a_config_needs_is_listed_installed_or_not() -> None:
    model = {"type": "GroundingDINO", "language_model": {"type": "BertModel"}, "encoder": {"num_cp": 6}}
    assert extras.needed_modules({"model": model}) == ["fairscale", "transformers"]
    assert extras.needed_modules({"model": {"type": "RTMDet", "encoder": {"num_cp": 0}}}) == []


@pytest.mark.parametrize(("version", "is_named"), [("4.55.4", False), ("4.56.0", True), ("5.24.0", True)])
def test_a_version_that_is_too_new_is_named(monkeypatch: pytest.MonkeyPatch, version: str, is_named: bool) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: object())
    monkeypatch.setattr(extras, "installed_version", lambda name: version)
    problems = missing_extras({"model": {"language_model": {"type": "BertModel"}}})
    expected = (
        f"model.language_model.type=BertModel: needs transformers<4.56, and {version} is installed. Type "
        "python -m pip install 'vision-research[language]'"
    )
    assert problems == ([expected] if is_named else [])


def test_a_torchvision_of_another_build_than_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    versions = {"torch": "2.13.0+cpu", "torchvision": "0.28.0+cu130"}
    monkeypatch.setattr(extras, "find_spec", lambda name: object())
    monkeypatch.setattr(extras, "installed_version", versions.__getitem__)
    monkeypatch.setattr(extras, "import_module", fail)
    (problem,) = missing_extras({"model": {"backbone": {"type": "mmpretrain.ConvNeXt"}}})
    assert problem.startswith(
        "model.backbone.type=mmpretrain.ConvNeXt: needs torchvision, and 0.28.0+cu130 does not import beside torch "
        "2.13.0+cpu (operator torchvision::nms does not exist): both have to be builds for the same CUDA"
    )
    monkeypatch.setattr(extras, "import_module", lambda name: object())
    assert missing_extras({"model": {"backbone": {"type": "mmpretrain.ConvNeXt"}}}) == []
