"""The consumer of an artifact: a process that imports the runtime of its format alone, and runs what it is given.

Started in a process of its own (`verify.run_consumer`). Its imports are the proof of what an artifact needs, so add
none.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_research.deploy.mask_bits import pack_masks
from vision_research.deploy.runners.runner import RUNNERS

TRAINING = ("mmcv", "mmdet", "mmengine", "torchvision")

Arrays = dict[str, NDArray[np.generic]]


def serve(artifact: str, folder: str, num_threads: int) -> None:
    """Run an artifact on a list of requests; everything goes through files.

    Args:
        artifact: the file.
        folder: holds `requests.json`, a list of dicts with `settings` (what is moved in the artifact for this request:
            `score_thr` and `max_per_img`) and `geometry` (what `forward_tensor` takes after the tensor), both maybe
            absent; and `requests.npz` with the arrays `INDEX.input` and, where there is a geometry, `INDEX.tensor`.
            Gets `replies.json`, with `seconds` for each request and the `imported` ones of the modules that no artifact
            may need, or with `error`; and `replies.npz` with the outputs, `INDEX.input.OUTPUT` and
            `INDEX.tensor.OUTPUT`.
        num_threads: as the reference, because the number of threads decides the last bits of a sum.
    """
    arrays: Arrays = {}
    try:
        answer = _answer(Path(artifact), Path(folder), num_threads, arrays)
    except Exception:
        # Not swallowed: the parent raises it, with this text.
        answer = {"error": traceback.format_exc()}
    np.savez(Path(folder, "replies.npz"), **arrays)  # type: ignore[arg-type]
    Path(folder, "replies.json").write_text(json.dumps(answer))


def _answer(artifact: Path, folder: Path, num_threads: int, replies: Arrays) -> dict[str, Any]:
    entry = RUNNERS[artifact.suffix]
    runner: Any = entry.load(str(artifact), num_threads)
    seconds = []
    with np.load(folder / "requests.npz") as arrays:
        for index, request in enumerate(json.loads((folder / "requests.json").read_text())):
            if request.get("settings"):
                runner.move(**request["settings"])
            given = arrays[f"{index}.input"]
            started = time.perf_counter()
            outputs = runner.run({"input": given})
            seconds.append(time.perf_counter() - started)
            _keep(replies, f"{index}.input", outputs)
            if "geometry" in request:
                _keep(replies, f"{index}.tensor", runner.run_tensor(arrays[f"{index}.tensor"], request["geometry"]))
    forbidden = (*TRAINING, "torch") if entry.package != "torch" else TRAINING
    return {"seconds": seconds, "imported": [name for name in forbidden if name in sys.modules]}


def _keep(replies: Arrays, key: str, outputs: list[NDArray[np.generic]]) -> None:
    """Outputs as they are; masks, where there are any, in bits."""
    for place, output in enumerate(outputs):
        replies[f"{key}.{place}"] = pack_masks(output.astype(np.bool_)) if output.dtype == np.bool_ else output
