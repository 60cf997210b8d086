"""Runs an artifact in a consumer process (`consumer`), and reads what it answers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vision_research.deploy.check.consumer import serve
from vision_research.deploy.errors import ExportError
from vision_research.deploy.formats.registry import format_of
from vision_research.processes.command import run_in_fresh_interpreter


@dataclass(frozen=True)
class Request:
    """One run of an artifact.

    Attributes:
        given: the input.
        tensor: the normalised tensor, where the artifact is to run from it as well.
        geometry: what `forward_tensor` takes after the tensor.
        settings: `score_thr` and `max_per_img` to set in the artifact; empty to leave them.
    """

    given: NDArray[np.generic]
    tensor: NDArray[np.generic] | None = None
    geometry: Sequence[Sequence[float]] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What an artifact answered.

    Attributes:
        outputs: in their order, masks packed to bits (`consumer.pack_masks`).
        from_tensor: outputs from the normalised tensor on; empty where that was not asked for.
        seconds: duration of the run.
    """

    outputs: list[NDArray[np.generic]]
    from_tensor: list[NDArray[np.generic]]
    seconds: float


def run_consumer(artifact: Path, requests: Sequence[Request]) -> list[Reply]:
    """Run an artifact in a fresh process that imports its runtime alone (`consumer.serve`).

    Args:
        artifact: the file.
        requests: what to run; each gets a reply.

    Raises:
        ExportError: the process failed, or had imported more than the runtime.
    """
    runtime = format_of(artifact).runtime
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, requests)
        exit_code = run_in_fresh_interpreter(serve, str(artifact), name, torch.get_num_threads())
        if exit_code != 0 or not (folder / "replies.json").exists():
            raise ExportError(f"The process that loads the exported model ended with exit code {exit_code}.")
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
