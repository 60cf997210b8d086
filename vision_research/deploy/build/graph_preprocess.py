"""The preprocessing of an exported detector for graph formats: `preprocess.Preprocess` without branches on a size.

Sizes that depend on the image are values that the graph computes. They are computed in whole numbers, so that every
runtime gets the same ones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vision_research.deploy.build.input_spec import InputSpec
from vision_research.ops.graph_resize import resize_floats_onto_canvas, resize_onto_canvas

# Upper limit of the cells of a side; no input has as many.
_MOST_CELLS = 2**16


class GraphPreprocess(nn.Module):
    """From images of one size to the normalised tensors, and what is needed to map boxes back to the images."""

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.spec = spec
        # (channels, 1, 1) buffers; grey levels of the padding are in the order of the image, before any flip.
        self.mean = nn.Buffer(torch.tensor(spec.mean or (0.0,)).view(-1, 1, 1))
        self.std = nn.Buffer(torch.tensor(spec.std or (1.0,)).view(-1, 1, 1))
        self.pad_value = nn.Buffer(torch.tensor(spec.pad_value, dtype=torch.float32).view(-1, 1, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, tuple[int, int], tuple[float, float]]:
        """Preprocess one (H, W, 3) uint8 BGR image as `Preprocess.forward`."""
        return self.batch(image[None])

    def batch(self, images: Tensor) -> tuple[Tensor, tuple[int, int], tuple[float, float]]:
        """Preprocess (B, H, W, 3) images of one size as `Preprocess.batch`."""
        height, width = images.shape[1], images.shape[2]
        resized = self._target_size(height, width)
        padded = self._padded_size(resized)
        rows, columns = self._tensor_size(padded)
        filled = self._levels(images, resized, rows, columns)
        tensor = filled.flip(1) if self.spec.bgr_to_rgb else filled
        if self.spec.mean:
            tensor = (tensor - self.mean) / self.std
        beyond = torch.full((), self.spec.tensor_pad_value)
        tensor = torch.where(_inside(padded, rows, columns), tensor, beyond)
        # Whole numbers that the graph computes; torch's stubs type them as int | float | bool.
        clipped = resized if self.spec.centred else padded
        clip: Any = (clipped[0].item(), clipped[1].item())
        return tensor, clip, (resized[1].item() / width, resized[0].item() / height)

    def _levels(self, images: Tensor, resized: Tensor, rows: int, columns: int) -> Tensor:
        """(B, 3, rows, columns) float32 grey levels of the images; beyond them the padding, or arbitrary values."""
        if self.spec.centred:
            return self._centred_levels(images, rows, columns)
        resize = resize_floats_onto_canvas if self.spec.resizes_floats else resize_onto_canvas
        levels = resize(images, resized[0], resized[1], rows, columns)
        if not self.spec.pad_before_normalise:
            return levels
        return torch.where(_inside(resized, rows, columns), levels, self.pad_value)

    def _centred_levels(self, images: Tensor, rows: int, columns: int) -> Tensor:
        """`Preprocess._pad_around`."""
        height, width = images.shape[1], images.shape[2]
        y = torch.arange(rows) - (rows // 2 - height // 2)
        x = torch.arange(columns) - (columns // 2 - width // 2)
        spread = images.index_select(1, y.clamp(min=0, max=height - 1)).index_select(2, x.clamp(min=0, max=width - 1))
        inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
        return torch.where(inside, spread.permute(0, 3, 1, 2).float(), self.pad_value)

    def _target_size(self, height: int, width: int) -> Tensor:
        """`Preprocess.target_size` as (2,) int64; the scale factor is a fraction of whole numbers."""
        spec = self.spec
        size = torch.stack([torch.scalar_tensor(side, dtype=torch.int64) for side in (height, width)])
        if spec.centred:
            return size
        if not spec.keep_ratio:
            return torch.tensor([spec.scale[1], spec.scale[0]])
        bounds = [(max(spec.scale), size.max()), (min(spec.scale), size.min())]
        bounds += [(side, size[axis]) for axis, side in enumerate(spec.largest or ())]
        above, below = torch.full((), bounds[0][0], dtype=torch.int64), bounds[0][1]
        for numerator, denominator in bounds[1:]:
            is_smaller = numerator * below < above * denominator
            above = torch.where(is_smaller, torch.full_like(above, numerator), above)
            below = torch.where(is_smaller, denominator, below)
        # Rounded half up. Whole numbers are exact; a product of doubles could be slightly less than the half.
        return torch.div(2 * size * above + below, 2 * below, rounding_mode="floor").clamp(min=1)

    def _padded_size(self, resized: Tensor) -> Tensor:
        """Height and width before normalisation, (2,) int64."""
        spec = self.spec
        if not spec.pad_before_normalise:
            return resized
        if spec.canvas is not None:
            return torch.tensor(spec.canvas)
        if spec.centred:
            return (torch.div(resized, spec.centred, rounding_mode="floor") + 1) * spec.centred
        size = resized.max().expand(2) if spec.pad_to_square else resized
        return torch.div(size + spec.pad_divisor - 1, spec.pad_divisor, rounding_mode="floor") * spec.pad_divisor

    def _tensor_size(self, padded: Tensor) -> tuple[int, int]:
        """Height and width of the tensor; where they follow the image, computed as multiples of the divisor."""
        spec = self.spec
        canvas = spec.canvas
        if not (spec.keep_ratio or spec.centred or spec.pad_before_normalise):
            # Every image gets the same size: plain numbers, which torch.export supports best.
            canvas = spec.scale[1], spec.scale[0]
        if canvas is not None:
            divisor = spec.tensor_divisor
            return -(-canvas[0] // divisor) * divisor, -(-canvas[1] // divisor) * divisor
        least = torch.tensor(spec.tensor_bounds[0])
        cells = torch.div(torch.maximum(padded, least) + spec.divisor - 1, spec.divisor, rounding_mode="floor")
        sides: Any = cells[0].item(), cells[1].item()
        rows, columns = sides
        for count, low, high in zip((rows, columns), *spec.tensor_bounds, strict=True):
            torch._check(count >= low // spec.divisor)  # type: ignore[no-untyped-call]
            torch._check(count <= high // spec.divisor)  # type: ignore[no-untyped-call]
        return rows * spec.divisor, columns * spec.divisor


class FreeSides(nn.Module):
    """A detector whose input tensor may have sides of any multiple of the divisor, for `torch.export`.

    Otherwise torch.export would restrict the graph to properties of the example, such as a coarsest level of more than
    one cell.
    """

    def __init__(self, detector: nn.Module, divisor: int) -> None:
        super().__init__()
        self.detector = detector
        self.divisor = divisor

    def forward(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Detect as the detector does."""
        cells = [torch.scalar_tensor(side // self.divisor, dtype=torch.int64).item() for side in tensor.shape[2:]]
        for count in cells:
            torch._check(count >= 1)  # type: ignore[no-untyped-call]
            torch._check(count <= _MOST_CELLS)  # type: ignore[no-untyped-call]
        free = tensor.index_select(2, torch.arange(cells[0] * self.divisor))
        detections: tuple[Tensor, ...] = self.detector(free.index_select(3, torch.arange(cells[1] * self.divisor)))
        return detections


def _inside(size: Tensor, rows: int, columns: int) -> Tensor:
    """(rows, columns) bool: which pixels of a canvas lie within a (2,) int64 height and width."""
    return (torch.arange(rows) < size[0])[:, None] & (torch.arange(columns) < size[1])
