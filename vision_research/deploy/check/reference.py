"""The detector in Python with its own test pipeline, which an exported module is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision_research.deploy.artifact.detections import Detections
from vision_research.deploy.build.input_spec import InputSpec
from vision_research.deploy.build.network import NetworkPadding
from vision_research.deploy.families.family import Family
from vision_research.ops.masks import mask_boxes


@dataclass(frozen=True)
class Prepared:
    """An image after the test pipeline and the data preprocessor.

    Attributes:
        tensor: (1, 3, h, w) float32, normalised and padded to the canvas or the bounds.
        clip: height and width at which boxes are clipped (`img_shape`), pixels of the tensor.
        scale_factor: pixels of the tensor per pixel of the image (x, y).
        image_size: height and width of the image.
        data_samples: what MMDetection's `predict` takes beside the tensor.
    """

    tensor: Tensor
    clip: tuple[int, int]
    scale_factor: tuple[float, float]
    image_size: tuple[int, int]
    data_samples: list[Any]


class PythonDetector:
    """MMDetection's own prediction, image by image.

    Args:
        detector: built by MMDetection, weights loaded, on the CPU.
        pipeline: its test pipeline, MMEngine transform configs.
        spec: the preprocessing; may differ from the pipeline by a fixed canvas or by bounds.
        family: the family of the detector, which finds its `score_thr` and `max_per_img`.
        lowest_scores: detections of each class are given out from this score on; None gives out all.
    """

    def __init__(
        self,
        detector: Any,
        pipeline: Sequence[Mapping[str, Any]],
        spec: InputSpec,
        family: Family,
        lowest_scores: tuple[float, ...] | None = None,
    ) -> None:
        self._detector = detector.eval()
        self._steps = [dict(step) for step in pipeline if not _is_load(step)]
        self._spec = spec
        self._family = family
        self._lowest_scores = lowest_scores
        self._test_cfg = family.test_cfg(detector)
        # Mask2Former spells it in its own way.
        self._limit_key = "max_per_image" if "max_per_image" in self._test_cfg else "max_per_img"
        self.num_candidates = family.num_candidates(detector)
        self._padding = NetworkPadding(spec) if spec.pads_for_network else None

    @property
    def score_thr(self) -> float:
        """Detections score more than this."""
        return float(self._test_cfg.get("score_thr", 0.0))

    @property
    def max_per_img(self) -> int | None:
        """At most that many detections in an image; None where the head has no such limit."""
        limit = self._test_cfg.get(self._limit_key)
        return None if limit is None else int(limit)

    @property
    def nms_iou(self) -> float | None:
        """The IoU above which a box suppresses another; None where the detector suppresses nothing."""
        nms = self._test_cfg.get("nms") or {}
        iou: float | None = nms.get("iou_threshold", nms.get("iou_thr"))
        return iou

    @contextmanager
    def thresholds(self, score_thr: float | None, max_per_img: int | None) -> Iterator[None]:
        """Predict with other thresholds within the block.

        Args:
            score_thr: detections score more than this; None keeps the detector's own.
            max_per_img: at most that many detections; None keeps the detector's own.
        """
        saved = dict(self._test_cfg)
        moved = {"score_thr": score_thr, self._limit_key: max_per_img}
        self._test_cfg.update({key: value for key, value in moved.items() if value is not None})
        try:
            yield
        finally:
            self._test_cfg.clear()
            self._test_cfg.update(saved)

    def prepare(self, image: NDArray[np.uint8]) -> Prepared:
        """Run the pipeline without its loading steps, and the data preprocessor, on an (H, W, 3) uint8 BGR image."""
        from mmcv.transforms import Compose

        height, width = image.shape[:2]
        pixels = image.astype(np.float32) if self._spec.resizes_floats else image
        size = (height, width)
        loaded = {"img": pixels, "img_shape": size, "ori_shape": size, "img_id": 0, "img_path": ""}
        packed = Compose(self._steps_for(height, width))(loaded)
        batch = self._detector.data_preprocessor({key: [value] for key, value in packed.items()}, False)
        sample = batch["data_samples"][0]
        tensor = self._fill_canvas(batch["inputs"])
        # Transformers mask what lies beyond img_shape in the network's input.
        sample.set_metainfo({"batch_input_shape": tuple(self._padded(tensor).shape[-2:])})
        if self._spec.centred:
            return Prepared(tensor, size, (1.0, 1.0), size, [sample])
        return Prepared(tensor, sample.img_shape, sample.scale_factor, size, [sample])

    def geometry(self, prepared: Prepared) -> tuple[tuple[float, float], ...]:
        """What `forward_tensor` of an exported module takes after the tensor."""
        clip = (int(prepared.clip[0]), int(prepared.clip[1]))
        scale_factor = (float(prepared.scale_factor[0]), float(prepared.scale_factor[1]))
        return (clip, scale_factor, prepared.image_size) if self._family.gives_masks else (clip, scale_factor)

    def as_tensor(self, prepared: Prepared) -> Prepared:
        """The same tensor without its image: boxes are clipped at the tensor's sides, and are in its pixels."""
        size = (int(prepared.tensor.shape[-2]), int(prepared.tensor.shape[-1]))
        sample = prepared.data_samples[0].clone()
        sample.set_metainfo({"img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0), "pad_shape": size})
        if self._spec.centred:
            sample.set_metainfo({"border": np.zeros(4, np.float32)})
        return Prepared(prepared.tensor, size, (1.0, 1.0), size, [sample])

    @torch.no_grad()
    def predict(self, prepared: Prepared) -> Detections:
        """Run the detector on a prepared image."""
        samples = [sample.clone() for sample in prepared.data_samples]
        found = self._detector(self._padded(prepared.tensor), samples, mode="predict")[0].pred_instances
        if self._family.adds_threshold:
            found = found[found.scores > self.score_thr]
        if self._lowest_scores is not None:
            found = found[found.scores >= found.scores.new_tensor(self._lowest_scores)[found.labels]]
        boxes, scores, labels = found.bboxes.float(), found.scores.float(), found.labels.long()
        if not self._family.gives_masks:
            return Detections(boxes, scores, labels)
        masks = _fill_image(found.masks.bool(), prepared.image_size)
        # SOLO's heads give zeros instead of boxes.
        return Detections(boxes if boxes.any() else mask_boxes(masks), scores, labels, masks)

    def _steps_for(self, height: int, width: int) -> list[dict[str, Any]]:
        """The pipeline for an image of this size.

        No transform of mmcv fits an image into a height and a width, so where there is a canvas or there are bounds the
        pipeline gets the very size that the image is resized to.
        """
        if self._spec.largest is None:
            return self._steps
        rows, columns = self._spec.largest
        size = self._spec.scale
        if self._spec.keep_ratio:
            from mmcv.image.geometric import rescale_size

            _, factor = rescale_size((width, height), self._spec.scale, return_scale=True)
            size = rescale_size((width, height), min(factor, rows / height, columns / width))
        replaced = {"Resize": {"scale": size, "keep_ratio": False}}
        if self._spec.pad_before_normalise:
            fixed = {"size": (columns, rows), "size_divisor": None}
            follows = {"size": None, "size_divisor": self._spec.pad_divisor}
            replaced["Pad"] = {**(fixed if self._spec.canvas else follows), "pad_to_square": False}
        return [{**step, **replaced.get(str(step["type"]), {})} for step in self._steps]

    def _padded(self, tensor: Tensor) -> Tensor:
        """The network's input: the tensor, padded further where a canvas is of no size that the network takes."""
        padded: Tensor = tensor if self._padding is None else self._padding(tensor)
        return padded

    def _fill_canvas(self, tensor: Tensor) -> Tensor:
        """Pad the tensor to the canvas or the bounds, which the data preprocessor does not know.

        Where the data preprocessor has padded beyond the canvas, the padding is cut off again.
        """
        rows, columns = tensor.shape[-2:]
        if self._spec.canvas is not None:
            rows, columns = self._spec.canvas
        elif self._spec.bounds is not None:
            divisor, least = self._spec.tensor_divisor, self._spec.bounds[0]
            rows, columns = (-(-max(a, b) // divisor) * divisor for a, b in zip((rows, columns), least, strict=True))
        padding = [0, columns - tensor.shape[-1], 0, rows - tensor.shape[-2]]
        return torch.nn.functional.pad(tensor, padding, value=self._spec.tensor_pad_value)


def _fill_image(masks: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Masks of the whole image: those of RTMDet-Ins may lack its last rows or columns."""
    missing = [image_size[1] - masks.shape[2], image_size[0] - masks.shape[1]]
    return torch.nn.functional.pad(masks, [0, missing[0], 0, missing[1]]) if any(missing) else masks


def _is_load(step: Mapping[str, Any]) -> bool:
    return str(step["type"]).rsplit(".", 1)[-1].startswith("Load")
