"""Suppression and RoI pooling in plain torch, over mmcv's compiled operators, alternating in one run.

    python benchmarks/export_ops.py [--runs 20] [--threads 1]

Suppression: 1,000 boxes of 5 classes; held to 4 times mmcv's time. RoIAlign: 250 RoIs of all sizes, 256 channels, a map
of 50 x 84, adaptive sampling; held to 2 times. Both are scripted, as in an exported model, and checked to be equal.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median

import vision_research  # noqa: F401 (MMDetection imports the operators that it answers for)

# isort: split
import torch
from mmcv.ops import RoIAlign, batched_nms
from record import record
from torch import Tensor, nn

from vision_research.ops.nms import BatchedNms
from vision_research.ops.roi_align import roi_align

LIMITS = {"nms": 4.0, "roi_align": 2.0}
NUM_WARM_UPS = 5


def main() -> int:
    """Measure, print a line for each operator, and return 1 when a ratio is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    ratios = {}
    with torch.no_grad():
        for name, (ours, theirs) in {"nms": suppression(), "roi_align": pooling()}.items():
            ours_s, theirs_s = alternate(ours, theirs, options.runs)
            ratios[name] = ours_s / theirs_s
            print(
                f"{name:<10} {1e3 * ours_s:7.2f} ms, mmcv {1e3 * theirs_s:7.2f} ms: "
                f"{ratios[name]:.2f} times (held to {LIMITS[name]:g})"
            )
    record("export_ops", **ratios)
    return int(any(ratio > LIMITS[name] for name, ratio in ratios.items()))


def suppression() -> tuple[Callable[[], object], Callable[[], object]]:
    """Ours and mmcv's, on the same boxes."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(1000, 2, generator=generator) * torch.tensor([1200.0, 700.0])
    boxes = torch.cat([corners, corners + torch.rand(1000, 2, generator=generator) * 300 + 5], 1)
    scores = torch.rand(1000, generator=generator)
    groups = torch.randint(0, 5, (1000,), generator=generator)
    ours = torch.jit.script(BatchedNms(0.5))
    theirs = {"type": "nms", "iou_threshold": 0.5}
    assert torch.equal(ours(boxes, scores, groups, -1)[0], batched_nms(boxes, scores, groups, dict(theirs))[1])
    return lambda: ours(boxes, scores, groups, -1), lambda: batched_nms(boxes, scores, groups, dict(theirs))


class Pool(nn.Module):
    """`roi_align` as a module, which is what can be scripted."""

    def forward(self, feature: Tensor, rois: Tensor) -> Tensor:
        """Pool (N, 4) RoIs from a (1, C, H, W) map of stride 16 into 7 x 7."""
        return roi_align(feature, rois, torch.zeros(rois.size(0), dtype=torch.int64), (7, 7), 1 / 16)


def pooling() -> tuple[Callable[[], object], Callable[[], object]]:
    """Ours and mmcv's, on the same RoIs."""
    generator = torch.Generator().manual_seed(0)
    feature = torch.randn(1, 256, 50, 84, generator=generator)
    corners = torch.rand(250, 2, generator=generator) * torch.tensor([1200.0, 700.0])
    rois = torch.cat([corners, corners + torch.rand(250, 2, generator=generator) * 500 + 5], 1)
    indexed = torch.cat([torch.zeros(250, 1), rois], 1)
    ours, theirs = torch.jit.script(Pool()), RoIAlign((7, 7), 1 / 16, 0, "avg", True)
    assert torch.equal(ours(feature, rois), theirs(feature, indexed))
    return lambda: ours(feature, rois), lambda: theirs(feature, indexed)


def alternate(ours: Callable[[], object], theirs: Callable[[], object], runs: int) -> tuple[float, float]:
    """Median seconds of each, one after the other."""
    times: tuple[list[float], list[float]] = ([], [])
    for run in range(NUM_WARM_UPS + runs):
        for side, call in enumerate((ours, theirs)):
            started = time.perf_counter()
            call()
            if run >= NUM_WARM_UPS:
                times[side].append(time.perf_counter() - started)
    return median(times[0]), median(times[1])


if __name__ == "__main__":
    sys.exit(main())
