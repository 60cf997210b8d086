"""OpenCV's INTER_LINEAR resize of 8-bit images in integer arithmetic, with the same grey levels.

`torch.nn.functional.interpolate` computes with floats and differs from `cv2.resize` by one grey level in many pixels,
which moves boxes and changes scores. OpenCV rounds the weights to 11 bits, so integers give the same values.
Written for `torch.jit.script`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def resize_bilinear(image: Tensor, height: int, width: int) -> Tensor:
    """Resize as `cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)` does, to (height, width, C) uint8.

    Args:
        image: (H, W, C) uint8.
        height: rows of the result, at least 1.
        width: columns of the result, at least 1.
    """
    rows, columns = image.size(0), image.size(1)
    if rows == height and columns == width:
        return image
    if rows == 2 * height and columns == 2 * width:
        return _halve(image)
    # Rows are selected before columns are mixed if that takes fewer pixels; the order does not change the result.
    if 2 * height < rows:
        top, bottom, weights = _row_taps(rows, height, image.device)
        return _mix_rows(_mix_columns(image[top], width), _mix_columns(image[bottom], width), weights)
    mixed = _mix_columns(image, width)
    top, bottom, weights = _row_taps(rows, height, image.device)
    return _mix_rows(mixed[top], mixed[bottom], weights)


def resize_floats(image: Tensor, height: int, width: int) -> Tensor:
    """Resize as `cv2.resize` does once the image is float32, to (height, width, C) float32.

    Args:
        image: (H, W, C) uint8.
        height: rows of the result, at least 1.
        width: columns of the result, at least 1.
    """
    levels = image.to(torch.float32)
    left, right, across = _float_taps(image.size(1), width, image.device)
    mixed = _interpolate(levels[:, left], levels[:, right], across[None, :, None])
    top, bottom, down = _float_taps(image.size(0), height, image.device)
    return _interpolate(mixed[top], mixed[bottom], down[:, None, None])


def _interpolate(low: Tensor, high: Tensor, fraction: Tensor) -> Tensor:
    # In double and rounded once, which gives the result of OpenCV's fused multiply-add.
    mixed = low.to(torch.float64) + fraction.to(torch.float64) * (high - low).to(torch.float64)
    return mixed.to(torch.float32)


def _float_taps(source: int, target: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    # Unlike with 8 bits, positions stay in double, and rows outside of the image are treated as columns.
    centres = torch.arange(target, dtype=torch.float64, device=device) + 0.5
    position = centres * (float(source) / float(target)) - 0.5
    low = torch.floor(position)
    fraction = torch.where((low < 0) | (low >= source - 1), torch.zeros_like(position), position - low)
    low = low.to(torch.int64).clamp(0, source - 1)
    return low, (low + 1).clamp(max=source - 1), fraction.to(torch.float32)


def _halve(image: Tensor) -> Tensor:
    # OpenCV halves both axes with INTER_AREA: the rounded mean of two by two pixels.
    wide = image.to(torch.int32)
    total = wide[0::2, 0::2] + wide[0::2, 1::2] + wide[1::2, 0::2] + wide[1::2, 1::2]
    return ((total + 2) >> 2).to(torch.uint8)


def _positions(source: int, target: int, device: torch.device) -> tuple[Tensor, Tensor]:
    # OpenCV rounds positions to float before the floor (resize.cpp).
    scale = 1.0 / (float(target) / float(source))
    centres = torch.arange(target, dtype=torch.float64, device=device) + 0.5
    position = (centres * scale - 0.5).to(torch.float32)
    low = torch.floor(position)
    return low.to(torch.int64), position - low


def _weights(fraction: Tensor) -> tuple[Tensor, Tensor]:
    # Each weight is rounded (half to even) by itself, so they need not add up to 2048.
    return torch.round((1.0 - fraction) * 2048.0).to(torch.int32), torch.round(fraction * 2048.0).to(torch.int32)


def _mix_columns(image: Tensor, width: int) -> Tensor:
    """Resize horizontally: (H, W, C) uint8 to (H, width, C) int32, scaled by 2048 and shifted right by 4."""
    columns = image.size(1)
    left, fraction = _positions(columns, width, image.device)
    outside = (left < 0) | (left >= columns - 1)
    left_weight, right_weight = _weights(torch.where(outside, torch.zeros_like(fraction), fraction))
    left = left.clamp(0, columns - 1)
    right = (left + 1).clamp(max=columns - 1)
    mixed = (
        image[:, left].to(torch.int32) * left_weight[:, None] + image[:, right].to(torch.int32) * right_weight[:, None]
    )
    return mixed >> 4


def _row_taps(rows: int, height: int, device: torch.device) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    # Unlike columns, rows outside the image are clamped but keep their weights.
    top, fraction = _positions(rows, height, device)
    return top.clamp(0, rows - 1), (top + 1).clamp(0, rows - 1), _weights(fraction)


def _mix_rows(top: Tensor, bottom: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
    """Resize vertically: each product is shifted right by 16 bits, and the sum is rounded to its upper bits."""
    upper = (top * weights[0][:, None, None]) >> 16
    lower = (bottom * weights[1][:, None, None]) >> 16
    return ((upper + lower + 2) >> 2).clamp(0, 255).to(torch.uint8)
