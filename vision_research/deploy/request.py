"""The request of an export, which is passed to the export's own process as JSON, and what is refused at once."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vision_research.deploy.errors import ExportError
from vision_research.deploy.formats.registry import FORMATS, SUFFIXES


@dataclass(frozen=True)
class ExportRequest:
    """One export.

    Attributes:
        config: the MMEngine config of the detector.
        checkpoint: its weights.
        output: the file to write; the manifest lies beside it, under its name with `.json` appended. With several
            formats each file gets the suffix of its format.
        formats: names of `FORMATS`, in the order to write them.
        shape: height and width of a fixed canvas; None follows the test pipeline.
        bounds: smallest and largest (height, width) of a tensor that follows the image; None takes what the test
            pipeline can give. Not together with `shape`.
        batch: number of images at once; None takes any number.
        precision: fp32, fp16, bf16, or int8, which is calibrated on validation images.
        preprocess: whether the artifact takes (H, W, 3) uint8 BGR images, or else the normalised tensor.
        fuse: whether the network of a TorchScript file has batch norms folded and computes in channels-last order.
        score_thr: detections score more than this; None keeps the config's threshold.
        thresholds: for each class, its name and the lowest score that is given out, applied after suppression; None
            gives out all.
        verify: whether the artifact is compared with the detector in Python before it is kept.
        num_images: number of validation images to compare on, besides those that are made of them.
        run_id: of the tracked run that the model comes from.
        trust_checkpoint: whether a checkpoint is unpickled that holds more than weights and MMEngine's own records.
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
        """The file of a format: the output, with the suffix of that format."""
        suffix = FORMATS[name].suffix
        if self.output.suffix in SUFFIXES:
            return self.output.with_suffix(suffix)
        return self.output.with_name(self.output.name + suffix)

    def to_json(self) -> str:
        """The request as one line of JSON."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> ExportRequest:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        for key in ("config", "checkpoint", "output"):
            fields[key] = Path(fields[key])
        return cls(**{key: _as_tuple(value) for key, value in fields.items()})


def _as_tuple(value: Any) -> Any:
    """Turn lists into tuples, nested ones too: JSON has no tuples, and a request has no lists."""
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value


def refuse_impossible(request: ExportRequest) -> None:
    """Raise an ExportError that names every problem with what the formats of a request can do, before any is built."""
    problems = [problem for name in request.formats for problem in _problems(name, request)]
    if not request.formats:
        problems.append(
            f"No format is asked for. Type export.formats=[torchscript], or others of {', '.join(FORMATS)}."
        )
    if problems:
        raise ExportError("\n".join(dict.fromkeys(problems)))


def _problems(name: str, request: ExportRequest) -> Iterator[str]:
    if name not in FORMATS:
        yield f"export.formats names {name}. Type one of {', '.join(FORMATS)}."
        return
    can = FORMATS[name]
    if request.precision not in can.precisions:
        others = [other for other, it in FORMATS.items() if request.precision in it.precisions]
        yield (
            f"export.precision={request.precision} is not one of {name}'s: {', '.join(can.precisions)}. "
            f"Type export.precision=fp32, or export.formats=[{','.join(others)}]."
        )
    if request.batch is None and not can.any_batch:
        yield (
            f"export.batch=dynamic is not for {name}: its graph holds a suppression for each image. "
            "Type export.batch=8, or export=torchscript."
        )
    needed = can.writer_packages + (can.int8_packages if request.precision == "int8" else ())
    missing = [package for package in needed if importlib.util.find_spec(package) is None]
    if missing:
        yield f"export.formats names {name}, for which {', '.join(missing)} is not installed. Type {can.install}"
