"""The consumer of an artifact: a process that imports torch and no package besides, and runs what it is given.

Started in a process of its own (`verify.run_consumer`). Its imports are the proof that an artifact needs torch alone,
so add none.
"""

from __future__ import annotations

import sys
import time
import traceback
from typing import Any

import torch

from vision_research.deploy.mask_bits import pack_masks

FORBIDDEN = ("mmcv", "mmdet", "mmengine", "torchvision")


def serve(artifact: str, requests: str, replies: str, num_threads: int) -> None:
    """Run an artifact on a list of requests; everything goes through files.

    Args:
        artifact: the TorchScript file.
        requests: a `torch.save` file: a list of dicts with `image`, `tensor`, `geometry` (what `forward_tensor` takes
            after the tensor), `score_thr` and `max_per_img`.
        replies: where to write a dict with `results` (a pair for each request: from the image, from the tensor), each
            one's `seconds` from the image, and the `forbidden` modules found imported; or with `error`.
        num_threads: as the reference, because the number of threads decides the last bits of a sum.
    """
    torch.set_num_threads(num_threads)
    try:
        answer = _answer(artifact, requests)
    except Exception:
        # Not swallowed: the parent raises it, with this text.
        answer = {"error": traceback.format_exc()}
    torch.save(answer, replies)


def _answer(artifact: str, requests: str) -> dict[str, Any]:
    module = torch.jit.load(artifact)  # type: ignore[no-untyped-call]
    results, seconds = [], []
    with torch.no_grad():
        for request in torch.load(requests, weights_only=True):
            module.postprocess.score_thr = request["score_thr"]
            if request["max_per_img"] is not None:
                module.postprocess.max_per_img = request["max_per_img"]
            started = time.perf_counter()
            from_image = module(request["image"])
            seconds.append(time.perf_counter() - started)
            from_tensor = module.forward_tensor(request["tensor"], *request["geometry"])
            results.append((_packed(from_image), _packed(from_tensor)))
    return {"results": results, "seconds": seconds, "forbidden": [name for name in FORBIDDEN if name in sys.modules]}


def _packed(outputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Boxes, scores and labels as they are; masks, where there are any, in bits."""
    return (*outputs[:3], *(pack_masks(masks) for masks in outputs[3:]))
