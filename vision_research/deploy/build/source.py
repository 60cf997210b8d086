"""Builds what an export starts from: the detector, its test pipeline and the data set that it is checked on."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_research.deploy.build.input_shapes import with_bounds, with_fixed_canvas
from vision_research.deploy.build.input_spec import InputSpec, read_input_spec
from vision_research.deploy.errors import ExportError
from vision_research.detectors.build import build_detector, predicting_part


@dataclass(frozen=True)
class Source:
    """What was built from a config.

    Attributes:
        detector: MMDetection's, in eval mode, on the CPU, without trained weights.
        whole: what a checkpoint holds the weights of: the detector, or the semi-supervised pair that it is a part of.
        pipeline: the test pipeline, MMEngine transform configs.
        preprocessor: `model.data_preprocessor` of the config.
        dataset: the validation data set.
        classes: its class names, in the order of the labels.
    """

    detector: Any
    whole: Any
    pipeline: Sequence[Mapping[str, Any]]
    preprocessor: Mapping[str, Any]
    dataset: Any
    classes: list[str]

    def input_spec(
        self, shape: tuple[int, int] | None, bounds: tuple[tuple[int, int], tuple[int, int]] | None = None
    ) -> InputSpec:
        """Read the preprocessing, and change it to a fixed canvas or to bounds.

        Args:
            shape: height and width of a fixed canvas, or None.
            bounds: smallest and largest (height, width) of a tensor that follows the image, or None.

        Raises:
            ExportError: the pipeline cannot be exported, or the detector cannot take that size.
        """
        spec = read_input_spec(self.pipeline, self.preprocessor)
        if shape is not None:
            return with_fixed_canvas(spec, shape, self._size_divisor(spec))
        return spec if bounds is None else with_bounds(spec, bounds, self._size_divisor(spec))

    def _size_divisor(self, spec: InputSpec) -> int:
        """What the sides of the network's input are multiples of.

        That is what the config pads to; where it pads to a fixed size instead (RTMDet), the coarsest stride.
        """
        divisor = max(spec.pad_divisor, spec.tensor_divisor)
        if divisor > 1:
            return divisor
        head = getattr(self.detector, "rpn_head", None) or getattr(self.detector, "bbox_head", None)
        generator = getattr(head, "prior_generator", None)
        # A transformer needs no multiples of a stride: it masks the padding cell by cell.
        return 1 if generator is None else max(int(side) for stride in generator.strides for side in stride)


def load_source(path: Path) -> Source:
    """Build what an MMEngine config describes, as a run writes it.

    Raises:
        ExportError: there is no such file, or it names no validation data.
    """
    from mmdet.registry import DATASETS
    from mmdet.utils import register_all_modules
    from mmengine.config import Config

    if not path.is_file():
        raise ExportError(f"No config at {path}; a run writes it as config.py into its work_dir.")
    config = Config.fromfile(str(path))
    register_all_modules(init_default_scope=True)
    if not config.get("val_dataloader"):
        raise ExportError(f"{path} has no val_dataloader, whose images an export is checked on.")
    # pycocotools prints while it loads and indexes.
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = DATASETS.build(config.val_dataloader.dataset)
    loader = config.get("test_dataloader") or config.val_dataloader
    built = build_detector(config.model)
    preprocessor = config.model.get("data_preprocessor") or {}
    return Source(
        detector=predicting_part(built),
        whole=built,
        pipeline=loader.dataset.get("pipeline") or config.val_dataloader.dataset.pipeline,
        preprocessor=preprocessor.get("data_preprocessor", preprocessor),
        dataset=dataset,
        classes=[str(name) for name in dataset.metainfo["classes"]],
    )
