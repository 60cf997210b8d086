"""What the experiments on embedded data come to, and how long they take: trained by our own command, from scratch.

    python benchmarks/experiments.py [--only demo reid ...] [--work FOLDER]

The figures are those that a run ends with; the minutes are of one core, with what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from record import record

# Of each experiment, the metrics that the docs tell, as its outcome.json calls them.
METRICS = {
    "demo": {"val mAP50": "coco/bbox_mAP_50"},
    "bccd_rtmdet_tiny": {"val mAP50": "coco/bbox_mAP_50"},
    "bytetrack": {name: f"motchallenge-metric/{name}" for name in ("HOTA", "MOTA", "IDF1")},
    "qdtrack": {name: f"motchallenge-metric/{name}" for name in ("HOTA", "MOTA", "IDF1")},
    "masktrack_rcnn": {
        "AP": "youtube_vis/segm_mAP",
        "AP50": "youtube_vis/segm_mAP_50",
        "AR@10": "youtube_vis/segm_AR@10",
    },
    "reid": {"mAP": "reid-metric/mAP", "R1": "reid-metric/R1"},
    "panoptic_fpn": {"PQ": "panoptic/PQ"},
    "soft_teacher": {"teacher mAP": "teacher/coco/bbox_mAP", "student mAP": "student/coco/bbox_mAP"},
}


def main() -> None:
    """Train each, and keep its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(METRICS), choices=list(METRICS))
    parser.add_argument("--work", type=Path, default=Path("runs/experiments"), help="where the runs lie")
    arguments = parser.parse_args()
    for name in arguments.only:
        run = arguments.work.absolute() / name
        command = [sys.executable, "-m", "vision_research.train", f"experiment={name}", f"work_dir={run}"]
        started = time.perf_counter()
        subprocess.run([*command, "tracking=none"], check=True)
        minutes = (time.perf_counter() - started) / 60
        found = json.loads((run / "outcome.json").read_text())["metrics"]
        record(
            "experiments", **{name: {"metrics": {k: found[v] for k, v in METRICS[name].items()}, "minutes": minutes}}
        )


if __name__ == "__main__":
    main()
