"""Preflight: what is not registered, does not build or cannot be loaded is named before a rank starts."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from vision_research.checks.preflight import preflight, unknown_types
from vision_research.config.compose import conf_dir
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify


@pytest.fixture
def lowered(typed: Callable[..., TrainConfig], few_digits: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def build(*overrides: str) -> dict[str, Any]:
        config = typed(f"data.root={few_digits}", "data.kind=coco", *overrides)
        return lower(specify(config), LoweringInputs(tmp_path, tuple("0123456789"), num_train=12))

    return build


@pytest.mark.slow
def test_a_good_run_passes_and_leaves_nothing(lowered: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    preflight(lowered())
    assert list(tmp_path.iterdir()) == []


# The quick round builds these alone.
QUICK = ("faster_rcnn", "yolox_tiny")
CURATED = sorted(file.stem for file in (conf_dir() / "model").glob("*.yaml"))
# What a detector asks of images, as tests/conf has it.
SIZES = {"dino": "image_size=[320,320]", "ssd": "image_size=[300,300]"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in CURATED]
)
def test_every_curated_detector_passes(lowered: Callable[..., dict[str, Any]], model: str) -> None:
    preflight(lowered(f"model={model}", *filter(None, [SIZES.get(model)])))


@pytest.mark.slow
def test_every_unknown_type_is_named_with_the_nearest(lowered: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(ConfigError) as raised:
        preflight(lowered("+aug.train.odd.type=RandmFlip", "model.backbone.type=CSPNext"))
    assert len(raised.value.problems) == 2
    assert any("RandmFlip: no such type is registered. Did you mean" in text for text in raised.value.problems)
    assert any(re.match(r"train_dataloader\.dataset\.([a-z]+\.)*\d+\.type=", text) for text in raised.value.problems)
    assert any(text.startswith("model.backbone.type=CSPNext") and "CSPNeXt" in text for text in raised.value.problems)


def test_a_type_below_a_key_without_types_is_not_looked_up_at_any_depth() -> None:
    nowhere = {"type": "Nowhere"}
    config = {"env_cfg": {"a": [nowhere]}, "b": [{"metainfo": nowhere, "init_cfg": nowhere}, {"c": nowhere}]}
    assert [text.partition("=")[0] for text in unknown_types(config)] == ["b.1.c.type"]


@pytest.mark.slow
def test_an_argument_that_does_not_bind_is_named(lowered: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match=r"train_dataloader.dataset: .*unexpected keyword argument 'probability'"):
        preflight(lowered("+aug.train.odd.type=RandomFlip", "+aug.train.odd.probability=0.5"))
    with pytest.raises(ConfigError, match=r"model: KeyError: 'P9' \(while building CSPNeXt\)"):
        preflight(lowered("model.backbone.arch=P9"))


@pytest.mark.skipif(
    bool(find_spec("albumentations") or find_spec("mmpretrain")), reason="albumentations or mmpretrain is installed"
)
def test_a_package_that_is_not_installed_is_named_with_what_to_type(lowered: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(ConfigError) as raised:
        preflight(lowered("model=faster_rcnn", "model.backbone.type=mmpretrain.ConvNeXt", "aug=albu"))
    albu, backbone = sorted(raised.value.problems, key=lambda text: "mmpretrain" in text)
    assert re.search(r"\.type=Albu: needs albumentations, which .* Type python -m pip install .*albumentations==", albu)
    assert backbone.startswith("model.backbone.type=mmpretrain.ConvNeXt: needs mmpretrain")
    assert backbone.endswith("Type python -m pip install 'vision-research[mmpretrain]'")


def test_a_module_that_is_not_there_is_named(lowered: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match=r"aug.imports=\['my_flips'\].*importable"):
        preflight(lowered("aug.imports=[my_flips]"))


@pytest.mark.slow
def test_a_transform_of_the_users_own_is_found(
    lowered: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "my_turn.py").write_text(
        "from mmcv.transforms import BaseTransform\n"
        "from mmdet.registry import TRANSFORMS\n\n"
        "@TRANSFORMS.register_module()\n"
        "class MyTurn(BaseTransform):\n"
        "    def transform(self, results):\n"
        "        return results\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    preflight(lowered("aug.imports=[my_turn]", "+aug.train.turn.type=MyTurn"))


@pytest.mark.slow
def test_a_data_set_that_names_no_classes_takes_weights_too(
    lowered: Callable[..., dict[str, Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from mmdet.registry import MODELS
    from mmengine.config import ConfigDict

    file = tmp_path / "weights.pth"
    tree = lowered(f"model.weights={file}")
    torch.save({"state_dict": MODELS.build(ConfigDict(tree["model"])).state_dict()}, file)
    del tree["val_dataloader"]["dataset"]["metainfo"]
    with caplog.at_level("INFO"):
        preflight(tree)
    assert f"starting from {file}" in caplog.text
