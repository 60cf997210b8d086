"""Detectors that predict on images: a checkpoint in Python and an exported model, with the same interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from vision_research.config.errors import ConfigError
from vision_research.config.tree import kind_of
from vision_research.deploy.artifact.detections import Detections
from vision_research.deploy.artifact.runtime import Artifact, load_artifact
from vision_research.detectors.build import build_detector, predicting_part
from vision_research.detectors.weights import load_weights
from vision_research.storage.checkpoint_types import load_checkpoint_safely

Image = NDArray[np.uint8]


class Predictor(Protocol):
    """A detector that predicts on images.

    Attributes:
        name: `checkpoint`, or the file name of an exported model.
        classes: names, in the order of the labels.
    """

    name: str
    classes: tuple[str, ...]

    def predict(self, images: Sequence[Image]) -> list[Detections]:
        """Detect in (H, W, 3) uint8 BGR images of any sizes; boxes are in pixels of each image, on the CPU."""
        ...


class CheckpointPredictor:
    """A detector in Python with its test pipeline, as in a validation; takes the arguments of `trained_detector`."""

    name = "checkpoint"

    def __init__(self, config: Any, checkpoint: Path, classes: Sequence[str], trust: bool, device: str) -> None:
        from mmcv.transforms import Compose

        self.classes = tuple(classes)
        self.detector = trained_detector(config, checkpoint, classes, trust, device)
        loader = config.get("test_dataloader") or config.val_dataloader
        pipeline = loader.dataset.get("pipeline") or config.val_dataloader.dataset.pipeline
        self._steps = Compose([dict(step) for step in pipeline if not kind_of(step).startswith("Load")])

    @torch.no_grad()
    def predict(self, images: Sequence[Image]) -> list[Detections]:
        """Detect in a batch of images."""
        if not images:
            return []
        packed = [self._steps(_loaded(image, self.classes)) for image in images]
        batch = {key: [sample[key] for sample in packed] for key in ("inputs", "data_samples")}
        batch = self.detector.data_preprocessor(batch, False)
        answers = self.detector(batch["inputs"], batch["data_samples"], mode="predict")
        found = [answer.pred_instances.cpu() for answer in answers]
        return [
            Detections(one.bboxes.float(), one.scores.float(), one.labels.long(), one.get("masks")) for one in found
        ]


class ArtifactPredictor:
    """An exported model, which takes one image at a time.

    Args:
        path: its file.

    Raises:
        ExportError: the file is missing or cannot be loaded.
    """

    def __init__(self, path: Path) -> None:
        self.artifact: Artifact = load_artifact(path)
        self.name = path.name
        self.classes = tuple(self.artifact.classes)

    def predict(self, images: Sequence[Image]) -> list[Detections]:
        """Detect in one image after the other."""
        return [self.artifact.predict(image) for image in images]


def trained_detector(config: Any, checkpoint: Path, classes: Sequence[str], trust: bool, device: str) -> Any:
    """Build the predicting part of the detector of a config, with the weights of a checkpoint, in evaluation mode.

    Args:
        config: an `mmengine.Config` whose modules are registered.
        checkpoint: its weights.
        classes: names, in the order of the labels.
        trust: whether to unpickle a checkpoint that holds more than weights.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        UserError: there is no such device, or the checkpoint cannot be read, or belongs to another detector.
    """
    device = _chosen_device(device)
    content = load_checkpoint_safely(checkpoint, trust)
    detector = build_detector(config.model)
    load_weights(detector, content, tuple(classes), str(checkpoint))
    return predicting_part(detector).to(device)


def register_everything() -> None:
    """Register all types that a config may name, of MMDetection and of this package."""
    from mmdet.utils import register_all_modules

    import vision_research.engine.registered  # noqa: F401

    register_all_modules(init_default_scope=True)


def load_config(path: Path) -> Any:
    """Read an MMEngine config and import the modules in its `custom_imports`."""
    from mmengine.config import Config

    return Config.fromfile(str(path))


def _chosen_device(device: str) -> str:
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise ConfigError("device=cuda: this machine has no GPU that torch can use. Type device=cpu")
    return "cuda" if device == "cuda" or (device == "auto" and has_gpu) else "cpu"


def _loaded(image: Image, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return the results of a transform that loads an image.

    `instances` is there because a shortened validation has it among its meta keys. Only detectors that read the class
    names as text pack them.
    """
    shape = image.shape[:2]
    sample = {"img": image, "img_shape": shape, "ori_shape": shape, "img_id": 0, "img_path": "", "instances": []}
    return {**sample, "text": classes, "custom_entities": True}
