"""Refuses requests that a format cannot serve, or whose packages are not installed, before anything is built."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from vision_research.deploy.errors import ExportError
from vision_research.deploy.formats.registry import FORMATS
from vision_research.deploy.request import ExportRequest


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
