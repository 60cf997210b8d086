"""A config that comes from elsewhere is data, or is refused with the place that could run code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vision_research.config.code_check import code_in_config
from vision_research.config.schema import TrainConfig
from vision_research.flow.prepare import config_text
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify


@pytest.mark.parametrize("words", [(), ("model=mask_rcnn", "aug=mosaic_mixup"), ("model=dino", "schedule=300e")])
def test_our_own_configs_are_data(words: tuple[str, ...], typed: Callable[..., TrainConfig], tmp_path: Path) -> None:
    tree = lower(specify(typed(*words)), LoweringInputs(tmp_path, ("a", "b"), num_train=8))
    assert code_in_config(config_text(tree)) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import os", "line 1 is no assignment: import os"),
        ("a = 1\nb = __import__('os').system('id')", "line 2 is no plain value: __import__('os').system('id')"),
        ("a = [i for i in range(3)]", "line 1 is no plain value"),
        ("a = dict(**b)", "line 1 is no plain value"),
        ("a = f'{x}'", "line 1 is no plain value"),
        ("a.b = 1", "line 1 is no assignment"),
        ("def f(): pass", "line 1 is no assignment"),
        ("_base_ = ['other.py']", "_base_ names the file other.py"),
        ("a = '{{ fileDirname }}'", "{{ }} is filled in by MMEngine"),
        ("custom_imports = dict(imports=['antigravity'])", "custom_imports names antigravity"),
        ("custom_imports = dict(imports='mine')", "custom_imports names mine"),
        ("m = dict(a=[dict(type='subprocess.Popen', args='id')])", "m.a.0.type is subprocess.Popen"),
        ("m = dict(type='torch.hub.load')", "m.type is torch.hub.load, which MMEngine would import and call"),
        ("m = dict(type='mmengine.utils.package_utils.call_command')", "m.type is mmengine.utils"),
        ("a = {[1]: 2}", "unhashable type"),
        ("a = (", "line 1 is no assignment of a value"),
    ],
)
@pytest.mark.fault("a config with code in it, from a tracker or a bucket", "refused with the place; nothing runs")
def test_what_could_run_code_is_named(text: str, reason: str) -> None:
    assert (code_in_config(text) or "").startswith(reason)


def test_bases_of_an_installed_package_are_as_good_as_the_package() -> None:
    assert code_in_config("_base_ = ['mmdet::_base_/default_runtime.py']") is None


def test_plain_values_are_data() -> None:
    text = "'''a run'''\na = dict(b=-1.5, c=(1, 2), d={'e': None, 3: True})\nm = dict(type='mmdet.models.RTMDet')"
    assert code_in_config(text) is None
