"""The preprocessing of graphs against that of scripts, which follows OpenCV to the grey level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from vision_research.deploy.build.graph_preprocess import GraphPreprocess
from vision_research.deploy.build.input_spec import InputSpec
from vision_research.deploy.build.preprocess import Preprocess
from vision_research.ops.graph_resize import resize_onto_canvas
from vision_research.ops.resize import resize_bilinear

NORMALISED = InputSpec(
    scale=(192, 128), mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4), bgr_to_rgb=True, tensor_divisor=32
)
SPECS = {
    "follows the image": NORMALISED,
    "fixed canvas": replace(NORMALISED, canvas=(96, 160), tensor_divisor=1),
    "padded before": InputSpec(
        (160, 160), canvas=(160, 160), pad_before_normalise=True, pad_value=(114, 114, 114), tensor_divisor=64
    ),
    "square": InputSpec(
        (96, 96), pad_before_normalise=True, pad_to_square=True, pad_value=(1, 2, 3), tensor_divisor=32
    ),
    "one size": replace(NORMALISED, keep_ratio=False),
    "floats": replace(NORMALISED, resizes_floats=True),
    "centred": replace(
        NORMALISED, scale=(0, 0), centred=32, pad_divisor=32, pad_before_normalise=True, pad_value=(1, 2, 3)
    ),
    "within bounds": replace(NORMALISED, bounds=((96, 96), (128, 160))),
}


def test_the_resize_gives_the_same_grey_levels_whatever_the_sizes() -> None:
    rng = np.random.default_rng(3)
    for turn in range(60):
        height, width, rows, columns = (int(side) for side in rng.integers(1, 120, 4))
        if turn % 6 == 0:
            height, width = 2 * rows, 2 * columns
        image = torch.from_numpy(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))

        canvas = resize_onto_canvas(image[None], torch.tensor(rows), torch.tensor(columns), rows + 3, columns + 5)

        expected = resize_bilinear(image, rows, columns).permute(2, 0, 1).float()
        assert torch.equal(canvas[0, :, :rows, :columns], expected), (height, width, rows, columns)


@pytest.mark.parametrize("name", SPECS)
def test_tensor_clip_and_scale_are_those_of_the_script(name: str) -> None:
    graph, script = GraphPreprocess(SPECS[name]), Preprocess(SPECS[name])
    rng = np.random.default_rng(4)
    for height, width in ((96, 144), (150, 100), (31, 47), (20, 300), (375, 500), (1, 1)):
        image = torch.from_numpy(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))

        tensor, clip, scale_factor = graph(image)

        expected = script(image)
        # A graph has no doubles for the positions: off by thousandths of a grey level.
        assert torch.allclose(tensor, expected[0], atol=1e-3 if name == "floats" else 0, rtol=0), (height, width)
        assert (clip, scale_factor) == (expected[1], pytest.approx(expected[2])), (height, width)


def test_a_batch_is_its_images_one_after_the_other() -> None:
    images = torch.from_numpy(np.random.default_rng(5).integers(0, 256, (3, 40, 60, 3), dtype=np.uint8))
    for preprocess in (GraphPreprocess(NORMALISED), torch.jit.script(Preprocess(NORMALISED))):
        tensor, clip, _ = preprocess.batch(images)

        assert torch.equal(tensor, torch.cat([preprocess(image)[0] for image in images]))
        assert clip == preprocess(images[0])[1]
