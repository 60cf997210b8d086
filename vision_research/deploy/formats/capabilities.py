"""What each format can be asked for, and what it needs installed. Refuses before anything is built."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass

from vision_research.deploy.errors import ExportError
from vision_research.deploy.request import FORMATS, ExportRequest

_EXTRA = "pip install 'vision-research[export]'"


@dataclass(frozen=True)
class Capabilities:
    """One format.

    Attributes:
        precisions: that it can be written in.
        any_batch: whether one file takes any number of images.
        packages: modules that writing it imports, besides torch.
        int8_packages: further ones for int8.
        install: what a person types to get them.
    """

    precisions: tuple[str, ...]
    any_batch: bool = False
    packages: tuple[str, ...] = ()
    int8_packages: tuple[str, ...] = ()
    install: str = _EXTRA


_ONNX = ("onnx", "onnxscript", "onnxruntime")

CAPABILITIES = {
    "torchscript": Capabilities(("fp32", "fp16", "bf16"), any_batch=True),
    "pt2": Capabilities(("fp32", "fp16", "bf16")),
    "onnx": Capabilities(("fp32", "fp16", "int8"), packages=_ONNX),
    "openvino": Capabilities(("fp32", "fp16", "int8"), packages=(*_ONNX, "openvino"), int8_packages=("nncf",)),
    "tensorrt": Capabilities(
        ("fp32", "fp16"),
        packages=("onnx", "onnxscript", "tensorrt"),
        install=f"{_EXTRA} tensorrt, on a machine with an NVIDIA GPU",
    ),
}


def refuse_impossible(request: ExportRequest) -> None:
    """Check a request against what its formats can do.

    Raises:
        ExportError: names every problem, each with what to type.
    """
    problems = [problem for name in request.formats for problem in _problems(name, request)]
    if not request.formats:
        problems.append(
            f"No format is asked for. Type export.formats=[torchscript], or others of {', '.join(FORMATS)}."
        )
    if problems:
        raise ExportError("\n".join(dict.fromkeys(problems)))


def _problems(name: str, request: ExportRequest) -> Iterator[str]:
    if name not in CAPABILITIES:
        yield f"export.formats names {name}. Type one of {', '.join(CAPABILITIES)}."
        return
    can = CAPABILITIES[name]
    if request.precision not in can.precisions:
        others = [other for other, it in CAPABILITIES.items() if request.precision in it.precisions]
        yield (
            f"export.precision={request.precision} is not one of {name}'s: {', '.join(can.precisions)}. "
            f"Type export.precision=fp32, or export.formats=[{','.join(others)}]."
        )
    if request.batch is None and not can.any_batch:
        yield (
            f"export.batch=dynamic is not for {name}: its graph holds a suppression for each image. "
            "Type export.batch=8, or export=torchscript."
        )
    needed = can.packages + (can.int8_packages if request.precision == "int8" else ())
    missing = [package for package in needed if importlib.util.find_spec(package) is None]
    if missing:
        yield f"export.formats names {name}, for which {', '.join(missing)} is not installed. Type {can.install}"
