"""The preprocessing of an exported TorchScript module: resizes, pads and normalises in plain torch.

Does what an `InputSpec` says, for images of any size. Written for `torch.jit.script`; knows nothing of MMDetection.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vision_research.deploy.build.input_spec import InputSpec
from vision_research.ops.resize import resize_bilinear, resize_floats


class Preprocess(nn.Module):
    """From an image to the normalised tensor, and what is needed to map boxes back to the image."""

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.scale_width, self.scale_height = spec.scale
        self.keep_ratio = spec.keep_ratio
        self.resizes_floats = spec.resizes_floats
        self.fixed_canvas = spec.canvas is not None
        self.canvas_height, self.canvas_width = spec.canvas or (0, 0)
        self.is_limited = spec.largest is not None
        self.limit_height, self.limit_width = spec.largest or (0, 0)
        self.least_height, self.least_width = spec.bounds[0] if spec.bounds else (0, 0)
        self.pad_divisor = spec.pad_divisor
        self.centred = spec.centred
        self.pad_to_square = spec.pad_to_square
        self.pad_before_normalise = spec.pad_before_normalise
        self.normalises = len(spec.mean) > 0
        self.bgr_to_rgb = spec.bgr_to_rgb
        self.tensor_divisor = spec.tensor_divisor
        self.tensor_pad_value = spec.tensor_pad_value
        self.mean = nn.Buffer(torch.tensor(spec.mean or (0.0,)).view(-1, 1, 1))
        self.std = nn.Buffer(torch.tensor(spec.std or (1.0,)).view(-1, 1, 1))
        self.pad_value = nn.Buffer(torch.tensor(spec.pad_value, dtype=torch.uint8))

    def forward(self, image: Tensor) -> tuple[Tensor, tuple[int, int], tuple[float, float]]:
        """Preprocess one (H, W, 3) uint8 BGR image of any size.

        Returns:
            The normalised tensor (1, 3, h, w) float32; the height and width at which boxes are clipped, in its pixels;
            and its pixels per pixel of the image (x, y).
        """
        if image.dim() != 3 or image.size(2) != 3 or image.dtype != torch.uint8 or image.numel() == 0:
            raise ValueError(f"expected an (H, W, 3) uint8 BGR image, got {image.dtype} of shape {image.shape}")
        height, width = self.target_size(image.size(0), image.size(1))
        resized = resize_floats(image, height, width) if self.resizes_floats else resize_bilinear(image, height, width)
        if self.centred > 0:
            padded, clip = self._pad_around(resized), (height, width)
        elif self.pad_before_normalise:
            padded = self._pad_image(resized)
            clip = (padded.size(0), padded.size(1))
        else:
            padded, clip = resized, (height, width)
        tensor = self._pad_tensor(self._normalise(padded))
        return tensor, clip, (width / image.size(1), height / image.size(0))

    @torch.jit.export
    def batch(self, images: Tensor) -> tuple[Tensor, tuple[int, int], tuple[float, float]]:
        """Preprocess (B, H, W, 3) images of one size, B at least 1; otherwise as `forward`."""
        tensor, clip, scale_factor = self.forward(images[0])
        tensors = [tensor]
        for index in range(1, images.size(0)):
            tensors.append(self.forward(images[index])[0])
        return torch.cat(tensors), clip, scale_factor

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """The size that an image is resized to (`mmcv.rescale_size`, limited by a fixed canvas).

        Args:
            height: of the image, pixels.
            width: of the image, pixels.

        Returns:
            Height and width, 1 pixel or more each.
        """
        if self.centred > 0:
            return height, width
        if not self.keep_ratio:
            return self.scale_height, self.scale_width
        long_edge = max(self.scale_width, self.scale_height)
        short_edge = min(self.scale_width, self.scale_height)
        factor = min(long_edge / max(height, width), short_edge / min(height, width))
        if self.is_limited:
            factor = min(factor, min(self.limit_height / height, self.limit_width / width))
        return max(int(height * factor + 0.5), 1), max(int(width * factor + 0.5), 1)

    def _pad_image(self, image: Tensor) -> Tensor:
        height, width = image.size(0), image.size(1)
        if self.fixed_canvas:
            height, width = self.canvas_height, self.canvas_width
        if self.pad_to_square:
            height = max(height, width)
            width = height
        height, width = _round_up(height, self.pad_divisor), _round_up(width, self.pad_divisor)
        padded = self.pad_value.to(image.dtype).expand(height, width, 3).clone()
        padded[: image.size(0), : image.size(1)] = image
        return padded

    def _pad_around(self, image: Tensor) -> Tensor:
        """The image in the middle of the next larger multiples, as `RandomCenterCropPad` does in tests."""
        height, width = image.size(0), image.size(1)
        rows, columns = (height // self.centred + 1) * self.centred, (width // self.centred + 1) * self.centred
        top, left = rows // 2 - height // 2, columns // 2 - width // 2
        padded = self.pad_value.to(image.dtype).expand(rows, columns, 3).clone()
        padded[top : top + height, left : left + width] = image
        return padded

    def _normalise(self, image: Tensor) -> Tensor:
        channels = image.flip(2) if self.bgr_to_rgb else image
        # Contiguous before the arithmetic: strides decide which convolution kernels run, and so the last bits.
        tensor = channels.permute(2, 0, 1).contiguous().to(torch.float32)
        return (tensor - self.mean) / self.std if self.normalises else tensor

    def _pad_tensor(self, tensor: Tensor) -> Tensor:
        height, width = max(tensor.size(1), self.least_height), max(tensor.size(2), self.least_width)
        if self.fixed_canvas:
            height, width = self.canvas_height, self.canvas_width
        bottom = _round_up(height, self.tensor_divisor) - tensor.size(1)
        right = _round_up(width, self.tensor_divisor) - tensor.size(2)
        return F.pad(tensor, [0, right, 0, bottom], value=self.tensor_pad_value).unsqueeze(0)


def _round_up(size: int, divisor: int) -> int:
    return (size + divisor - 1) // divisor * divisor
