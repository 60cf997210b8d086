"""mmcv's operators in plain torch, over mmcv's compiled ones: forward, backward and memory, in turn in one process.

    python benchmarks/ops.py [--threads 1]

Needs mmcv's compiled operators (`nox -s tests_compiled` installs them). The results are in
benchmarks/results/ops/operators.json, from which ops_table.py writes docs/ops.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import vision_research  # noqa: F401 (MMDetection imports the operators that it answers for)

# isort: split
import numpy as np
import torch
from mmcv import ops
from torch import Tensor

from vision_research.ops.mmcv_ext.choice import select
from vision_research.ops.mmcv_ext.dispatch import why_not_compiled

RESULT = Path(__file__).parent / "results" / "ops" / "operators.json"
CHOICES = ("plain", "compiled")
NUM_RUNS = 15


def main() -> int:
    """Measure every operator, print a line for each, and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    if reason := why_not_compiled():
        sys.exit(f"{reason}: python .ci/mmcv_wheel.py")
    torch.set_num_threads(parser.parse_args().threads)
    results = {}
    for name, run in cases().items():
        measured = measure(run)
        results[name] = measured
        print(name, measured, flush=True)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def cases() -> dict[str, Callable[[], Tensor]]:
    """Calls of the sizes that detectors have, by the operator and its input; a result with a derivative has one."""
    random = np.random.RandomState(0)

    def draw(*shape: int) -> Tensor:
        return torch.from_numpy(random.randn(*shape)).float().requires_grad_()

    def boxes(count: int, largest: float) -> Tensor:
        corners = random.rand(count, 2) * (1200, 700)
        return torch.from_numpy(np.concatenate([corners, corners + random.rand(count, 2) * largest + 5], 1)).float()

    def rois(count: int) -> Tensor:
        # As an extractor assigns them: those of a level are of one size.
        return torch.cat([torch.from_numpy(random.randint(0, 2, (count, 1))).float(), boxes(count, 112.0)], 1)

    many, few = boxes(4000, 200.0), boxes(1000, 200.0)
    scores = torch.from_numpy(random.rand(4000)).float()
    scored = torch.cat([boxes(1000, 200.0), scores[:1000, None]], 1)
    labels = torch.from_numpy(random.randint(0, 80, 1000))
    level, level_rois = draw(2, 256, 200, 304), rois(512)
    feature, weight = draw(2, 128, 50, 76), draw(128, 128, 3, 3)
    offset, mask = draw(2, 18, 50, 76), draw(2, 9, 50, 76)
    soft = {"type": "soft_nms", "iou_threshold": 0.5, "min_score": 0.05}
    return {
        "nms, 1,000 boxes": lambda: ops.nms(few, scores[:1000], 0.7)[0],
        "nms, 4,000 boxes": lambda: ops.nms(many, scores, 0.7)[0],
        "soft_nms, 1,000 boxes": lambda: ops.soft_nms(few, scores[:1000], 0.5, 0.5, 0.05, "gaussian")[0],
        "soft_nms, 1,000 boxes of 80 classes": lambda: ops.batched_nms(few, scores[:1000], labels, dict(soft))[0],
        "nms_match, 1,000 boxes": lambda: ops.nms_match(scored, 0.7)[0],
        "roi_align, 512 RoIs of 256 x 200 x 304": lambda: ops.roi_align(level, level_rois, 7, 1 / 4, 0, "avg", True),
        "deform_conv2d, 128 x 50 x 76": lambda: ops.deform_conv2d(feature, offset, weight, 1, 1),
        "modulated_deform_conv2d, 128 x 50 x 76": lambda: ops.modulated_deform_conv2d(
            feature, offset, mask, weight, None, 1, 1
        ),
    }


def measure(run: Callable[[], Tensor]) -> dict[str, dict[str, float]]:
    """Milliseconds forward and backward, and the peak of memory in MB, of each kind of operators."""
    seconds: dict[str, dict[str, list[float]]] = {choice: {"forward": [], "backward": []} for choice in CHOICES}
    for number in range(NUM_RUNS):
        for choice in CHOICES if number % 2 else CHOICES[::-1]:
            select(choice)
            begun = time.perf_counter()
            result = run()
            done = time.perf_counter()
            seconds[choice]["forward"].append(done - begun)
            if result.requires_grad:
                result.sum().backward()
                seconds[choice]["backward"].append(time.perf_counter() - done)
    return {
        choice: {
            **{part: round(1e3 * median(values), 2) for part, values in parts.items() if values},
            "memory_mb": round(peak_memory(lambda: _both(run), choice), 1),
        }
        for choice, parts in seconds.items()
    }


def _both(run: Callable[[], Tensor]) -> None:
    result = run()
    if result.requires_grad:
        result.sum().backward()


def peak_memory(run: Callable[[], object], choice: str) -> float:
    """The most memory that a call takes beyond what the process has, MB; in a process of its own."""
    read, write = os.pipe()
    if child := os.fork():
        os.close(write)
        with os.fdopen(read) as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        return float(answer or "nan")
    try:
        torch.set_num_threads(1)
        select(choice)
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
        before = _resident_mb("VmRSS")
        run()
        os.write(write, str(_resident_mb("VmHWM") - before).encode())
    finally:
        os._exit(0)


def _resident_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    sys.exit(main())
