"""mmcv's operators in plain torch: held to numbers of mmcv's compiled functions, or to their definition."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys

import mmcv.ops
import numpy as np
import pytest
import torch
from mmcv.ops import RoIAlign, batched_nms
from operator_cases import CASES, boxes, computed, numbers, recorded
from torch import Tensor

from vision_research.ops.mmcv_ext.choice import select, selected
from vision_research.ops.mmcv_ext.dispatch import why_not_compiled
from vision_research.ops.mmcv_ext.registry import PLAIN


@pytest.fixture
def plain() -> None:
    select("plain")


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_of_the_compiled_operators(name: str, plain: None) -> None:
    expected = recorded(name)

    got = computed(name)

    assert got.keys() == expected.keys()
    for key, values in expected.items():
        assert got[key].shape == values.shape, key
        if values.dtype.kind == "i":
            assert (got[key] == values).all(), key
        else:
            np.testing.assert_allclose(
                got[key], values, rtol=1e-4, atol=1e-5 * max(np.abs(values).max(), 1), err_msg=key
            )


@pytest.mark.skipif(why_not_compiled() is not None, reason="mmcv has no compiled operators here")
@pytest.mark.parametrize("name", CASES)
def test_the_recorded_numbers_are_those_of_this_mmcv(name: str) -> None:
    select("compiled")

    for key, values in computed(name).items():
        np.testing.assert_allclose(values, recorded(name)[key], rtol=1e-4, atol=1e-4, err_msg=key)
    select("auto")


def test_pooling_and_suppression_equal_the_compiled_ones_to_the_last_bit(plain: None) -> None:
    for name in ("nms", "nms_offset", "nms_limits", "roi_align_0_True", "roi_align_0_False", "roi_align_2_True"):
        for key, values in recorded(name).items():
            if key != "feature":
                assert (computed(name)[key] == values).all(), name


def module_functions() -> dict[str, set[str]]:
    """The functions of the extension that each module of mmcv.ops calls."""
    found = {}
    for _, name, _ in pkgutil.iter_modules(mmcv.ops.__path__):
        module = importlib.import_module(f"mmcv.ops.{name}")
        if hasattr(module, "ext_module"):
            found[name] = set(re.findall(r"ext_module\.(\w+)", inspect.getsource(module)))
    return found


def test_every_name_of_mmcv_resolves_and_those_of_mmdetection_compute() -> None:
    called = module_functions()

    assert sum(len(names) for names in called.values()) > 90
    assert all(callable(getattr(mmcv._ext, name)) for names in called.values() for name in names)
    for module in (
        "nms",
        "roi_align",
        "deform_conv",
        "modulated_deform_conv",
        "carafe",
        "masked_conv",
        "focal_loss",
        "multi_scale_deform_attn",
        "roi_pool",
        "deform_roi_pool",
        "bbox",
    ):
        assert called[module] - {"nms_rotated", "nms_quadri"} <= PLAIN.keys(), module


def test_an_operator_that_nobody_wrote_is_refused_by_name(plain: None) -> None:
    with pytest.raises(
        NotImplementedError, match=r"^nms_rotated is an operator of mmcv .* python \.ci/mmcv_wheel\.py$"
    ):
        mmcv.ops.nms_rotated(torch.rand(4, 5), torch.rand(4), 0.5)
    with pytest.raises(NotImplementedError, match=r"pool_mode='max'"):
        RoIAlign(7, pool_mode="max")(torch.rand(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 3, 3]]))


def test_another_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="ops=fast: choose one of auto, plain, compiled"):
        select("fast")
    assert selected() in ("auto", "plain", "compiled")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions_agree_with_float32(dtype: torch.dtype, plain: None) -> None:
    random = np.random.RandomState(0)
    feature, weight = numbers(random, 1, 4, 16, 16), numbers(random, 6, 4, 3, 3)
    offset, mask = numbers(random, 1, 18, 16, 16), numbers(random, 1, 9, 16, 16)
    rois = torch.tensor([[0.0, 3.0, 4.0, 50.0, 60.0], [0.0, 20.0, 1.0, 60.0, 30.0]])
    tolerance = {"rtol": 0.05, "atol": 0.3} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-4}

    for name, run in {
        "roi_align": lambda f, o, m, w: mmcv.ops.roi_align(f, rois.to(f.dtype), (7, 7), 0.25, 0, "avg", True),
        "deform": lambda f, o, m, w: mmcv.ops.deform_conv2d(f, o, w, 1, 1),
        "modulated": lambda f, o, m, w: mmcv.ops.modulated_deform_conv2d(f, o, m, w, None, 1, 1),
    }.items():
        got = run(*(value.detach().to(dtype) for value in (feature, offset, mask, weight)))
        assert got.dtype == dtype
        expected = run(feature, offset, mask, weight).detach()
        torch.testing.assert_close(got.float(), expected, **tolerance, msg=name)


def test_derivatives_are_those_of_the_function(plain: None) -> None:
    random = np.random.RandomState(0)
    feature, weight, offset, mask = (
        numbers(random, *shape).double().detach().requires_grad_()
        for shape in ((1, 2, 5, 6), (3, 2, 3, 3), (1, 18, 5, 6), (1, 9, 5, 6))
    )
    # Off the cells' borders, where the derivative by the offset jumps.
    with torch.no_grad():
        offset.copy_(offset.round() + 0.3)
    rois = torch.tensor([[0.0, 1.0, 1.5, 17.0, 20.0]], dtype=torch.float64)
    moves = (torch.rand(1, 2, 2, 3, dtype=torch.float64) * 0.01).requires_grad_()

    assert torch.autograd.gradcheck(
        lambda f, o, m, w: mmcv.ops.modulated_deform_conv2d(f, o, m, w, None, 1, 1), (feature, offset, mask, weight)
    )
    assert torch.autograd.gradcheck(lambda f: mmcv.ops.roi_align(f, rois, (2, 3), 0.25, 0, "avg", True), (feature,))
    assert torch.autograd.gradcheck(
        lambda f, o: mmcv.ops.deform_roi_pool(f, rois, o, (2, 3), 0.25, 2, 0.1), (feature, moves)
    )


def test_memory_of_columns_is_bounded_by_parting_the_batch(plain: None, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = computed("modulated")
    monkeypatch.setattr("vision_research.ops.deform_conv.MOST_NUMBERS", 1)

    parted = computed("modulated")

    for key, values in whole.items():
        np.testing.assert_allclose(parted[key], values, rtol=1e-5, atol=1e-4)


def test_operators_keep_out_of_compiled_graphs(plain: None) -> None:
    feature = torch.randn(1, 4, 16, 16)
    rois = torch.tensor([[0.0, 3.0, 4.0, 50.0, 60.0]])

    layer = RoIAlign(7, 0.25)

    def run(feature: Tensor) -> Tensor:
        return layer(feature * 2, rois) + 1

    found = torch._dynamo.explain(run)(feature)

    assert found.graph_break_count <= 1
    compiled = torch.compile(run, backend="eager")
    torch.testing.assert_close(compiled(feature), run(feature))


def test_groups_of_boxes_do_not_suppress_each_other(plain: None) -> None:
    random = np.random.RandomState(0)
    found, labels = boxes(random, 50).repeat(2, 1), torch.arange(2).repeat_interleave(50)
    scores = torch.from_numpy(random.rand(100)).float()

    _, kept = batched_nms(found, scores, labels, {"type": "nms", "iou_threshold": 0.5})

    alone = [
        batched_nms(
            found[labels == label],
            scores[labels == label],
            labels[labels == label],
            {"type": "nms", "iou_threshold": 0.5},
        )[1]
        + 50 * label
        for label in (0, 1)
    ]
    assert sorted(kept.tolist()) == sorted(torch.cat(alone).tolist())


@pytest.mark.skipif(why_not_compiled() is not None, reason="mmcv has no compiled operators here")
def test_a_compiled_extension_that_was_imported_first_is_replaced() -> None:
    code = (
        "import mmcv.ops; compiled = mmcv._ext; import vision_research, sys; extension = sys.modules['mmcv._ext']; "
        "assert extension is not compiled and sys.modules['mmcv.ops.nms'].ext_module is extension is mmcv._ext"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
