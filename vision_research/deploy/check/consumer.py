"""The consumer of an artifact: a process that imports nothing but the runtime of its format, and runs the requests.

`consume.run_consumer` starts it. That it works proves what an artifact needs, so this module must import no more than
numpy.
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

from vision_research.deploy.formats.registry import format_of

TRAINING = ("mmcv", "mmdet", "mmengine", "torchvision")

Arrays = dict[str, NDArray[np.generic]]


def serve(artifact: str, folder: str, num_threads: int) -> None:
    """Run an artifact on a list of requests, which are read from files, and write the replies to files.

    Args:
        artifact: the file.
        folder: holds `requests.json`, a list of dicts with `settings` (`score_thr` and `max_per_img` to set for this
            request) and `geometry` (what `forward_tensor` takes after the tensor), both optional; and `requests.npz`
            with the arrays `INDEX.input` and, where there is a geometry, `INDEX.tensor`. The replies are written there:
            `replies.json` with the `seconds` of each request and `imported`, those of the modules that no artifact may
            need and that were imported, or with `error`; and `replies.npz` with the outputs, `INDEX.input.OUTPUT` and
            `INDEX.tensor.OUTPUT`.
        num_threads: the reference's number, because the number of threads decides the last bits of a sum.
    """
    arrays: Arrays = {}
    try:
        answer = _answer(Path(artifact), Path(folder), num_threads, arrays)
    except Exception:
        # The parent process raises an error with this text.
        answer = {"error": traceback.format_exc()}
    np.savez(Path(folder, "replies.npz"), **arrays)  # type: ignore[arg-type]
    Path(folder, "replies.json").write_text(json.dumps(answer))


def _answer(artifact: Path, folder: Path, num_threads: int, replies: Arrays) -> dict[str, Any]:
    entry = format_of(artifact)
    runner: Any = entry.load(str(artifact), num_threads)
    seconds = []
    with np.load(folder / "requests.npz") as arrays:
        for index, request in enumerate(json.loads((folder / "requests.json").read_text())):
            if request.get("settings"):
                runner.set_thresholds(**request["settings"])
            given = arrays[f"{index}.input"]
            started = time.perf_counter()
            outputs = runner.run({"input": given})
            seconds.append(time.perf_counter() - started)
            _keep(replies, f"{index}.input", outputs)
            if "geometry" in request:
                _keep(replies, f"{index}.tensor", runner.run_tensor(arrays[f"{index}.tensor"], request["geometry"]))
    forbidden = (*TRAINING, "torch") if entry.runtime != "torch" else TRAINING
    return {"seconds": seconds, "imported": [name for name in forbidden if name in sys.modules]}


def _keep(replies: Arrays, key: str, outputs: list[NDArray[np.generic]]) -> None:
    """Keep outputs as they are, and masks packed to bits."""
    for place, output in enumerate(outputs):
        replies[f"{key}.{place}"] = pack_masks(output.astype(np.bool_)) if output.dtype == np.bool_ else output


def pack_masks(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Pack (..., H, W) bool masks to (..., ceil(H * W / 8)) uint8, since a check holds a hundred for each image."""
    return np.packbits(masks.reshape(*masks.shape[:-2], masks.shape[-2] * masks.shape[-1]), axis=-1)


def unpack_masks(packed: NDArray[np.uint8], height: int, width: int) -> NDArray[np.bool_]:
    """Unpack the masks of one image.

    Args:
        packed: (N, bytes) uint8, from `pack_masks`.
        height: of the masks, pixels.
        width: of the masks, pixels.

    Returns:
        (N, height, width) bool.
    """
    flat = np.unpackbits(packed, axis=1, count=height * width)
    return flat.reshape(packed.shape[0], height, width).astype(bool)
