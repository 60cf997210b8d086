"""Starts the process that consumes an artifact, and reads what it answers."""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vision_research.deploy.consumer import serve
from vision_research.deploy.errors import ExportError
from vision_research.deploy.runners.runner import RUNNERS


@dataclass(frozen=True)
class Request:
    """One run of an artifact.

    Attributes:
        given: what it takes.
        tensor: the normalised tensor, where it is to run from there on too.
        geometry: what `forward_tensor` takes after the tensor.
        settings: `score_thr` and `max_per_img` to move in the artifact, or nothing.
    """

    given: NDArray[np.generic]
    tensor: NDArray[np.generic] | None = None
    geometry: Sequence[Sequence[float]] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What an artifact answered.

    Attributes:
        outputs: in their order, masks in bits.
        from_tensor: likewise from the normalised tensor on; empty where that was not asked for.
        seconds: that the run took.
    """

    outputs: list[NDArray[np.generic]]
    from_tensor: list[NDArray[np.generic]]
    seconds: float


def run_consumer(artifact: Path, requests: Sequence[Request]) -> list[Reply]:
    """Run an artifact in a fresh process that imports its runtime only (`consumer.serve`).

    Args:
        artifact: the file.
        requests: what to run.

    Returns:
        An answer for each.

    Raises:
        ExportError: the process failed, or had imported more than the runtime.
    """
    runtime = RUNNERS[artifact.suffix].package
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, requests)
        process = multiprocessing.get_context("spawn").Process(
            target=serve, args=(str(artifact), name, torch.get_num_threads())
        )
        with _empty_main():
            process.start()
        process.join()
        if process.exitcode != 0 or not (folder / "replies.json").exists():
            raise ExportError(f"The process that loads the exported model ended with exit code {process.exitcode}.")
        answer = json.loads((folder / "replies.json").read_text())
        if "error" in answer:
            raise ExportError(f"The exported model does not run where only {runtime} is imported:\n{answer['error']}")
        if answer["imported"]:
            raise ExportError(
                f"Loading the exported model imported {', '.join(answer['imported'])}; it must need {runtime} alone."
            )
        with np.load(folder / "replies.npz") as arrays:
            return [
                Reply(_outputs(arrays, f"{index}.input"), _outputs(arrays, f"{index}.tensor"), seconds)
                for index, seconds in enumerate(answer["seconds"])
            ]


def _write(folder: Path, requests: Sequence[Request]) -> None:
    arrays: dict[str, Any] = {}
    words = []
    for index, request in enumerate(requests):
        arrays[f"{index}.input"] = request.given
        word: dict[str, Any] = {"settings": dict(request.settings)}
        if request.geometry is not None:
            arrays[f"{index}.tensor"] = request.tensor
            word["geometry"] = request.geometry
        words.append(word)
    np.savez(folder / "requests.npz", **arrays)
    (folder / "requests.json").write_text(json.dumps(words))


def _outputs(arrays: Any, key: str) -> list[NDArray[np.generic]]:
    found: list[NDArray[np.generic]] = []
    while f"{key}.{len(found)}" in arrays:
        found.append(arrays[f"{key}.{len(found)}"])
    return found


@contextmanager
def _empty_main() -> Iterator[None]:
    """A spawned process first imports its parent's main module, with all that imports; show it an empty one."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
