"""What an export is asked to do; crosses to the export's own process as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FORMATS = {"torchscript": ".ts", "onnx": ".onnx", "openvino": ".xml", "pt2": ".pt2", "tensorrt": ".engine"}
"""The suffix of each format's file."""

PRECISIONS = ("fp32", "fp16", "bf16", "int8")


@dataclass(frozen=True)
class ExportRequest:
    """One export.

    Attributes:
        config: the MMEngine config of the detector.
        checkpoint: its weights.
        output: the file to write; the manifest lies beside it, with `.json` put after its name. Where there are several
            formats, each takes its own suffix in the place of this one's.
        formats: of `FORMATS`, in the order to write them.
        shape: height and width of a fixed input size; None follows the test pipeline.
        bounds: smallest and largest (height, width) of an input that follows the image; None takes what the test
            pipeline can give. Not together with `shape`.
        batch: images at once; None takes any number.
        precision: of `PRECISIONS`; `int8` is calibrated on validation images.
        preprocess: whether the artifact takes (H, W, 3) uint8 BGR images, or the normalised tensor.
        fuse: whether the network of a TorchScript file has batch norms folded and channels last.
        score_thr: detections score more than this; None keeps the config's.
        thresholds: for each class, its name and the lowest score that is given out, applied to what the suppression
            keeps; None gives out all.
        verify: whether the artifact is compared with the detector in Python before it is kept.
        num_images: validation images to compare on, besides those that are made of them.
        run_id: of the tracked run that the model comes from.
        trust_checkpoint: unpickle a checkpoint that holds more than weights and MMEngine's own records.
    """

    config: Path
    checkpoint: Path
    output: Path
    formats: tuple[str, ...] = ("torchscript",)
    shape: tuple[int, int] | None = None
    bounds: tuple[tuple[int, int], tuple[int, int]] | None = None
    batch: int | None = 1
    precision: str = "fp32"
    preprocess: bool = True
    fuse: bool = False
    score_thr: float | None = None
    thresholds: tuple[tuple[str, float], ...] | None = None
    verify: bool = True
    num_images: int = 32
    run_id: str | None = None
    trust_checkpoint: bool = False

    def path_of(self, name: str) -> Path:
        """The file of a format: the output, with that format's suffix where it has one."""
        suffix = FORMATS[name]
        if self.output.suffix in FORMATS.values():
            return self.output.with_suffix(suffix)
        return self.output.with_name(self.output.name + suffix)

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> ExportRequest:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        for key in ("config", "checkpoint", "output"):
            fields[key] = Path(fields[key])
        return cls(**{key: _as_tuple(value) for key, value in fields.items()})


def _as_tuple(value: Any) -> Any:
    """JSON has lists only; those of a request are tuples, nested ones too."""
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value
