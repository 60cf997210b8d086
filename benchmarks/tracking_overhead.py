"""The cost of us: seconds per iteration with MLflow tracking on, over stock MMDetection on the same config.

    python benchmarks/tracking_overhead.py [--pairs 3] [--epochs 2]

Both train the same detector on the same digits with the same seed, in turn (A B A B ...), so that a machine whose speed
drifts slows both. Stock is MMDetection's own tools/train.py on the config.py that our command wrote with tracking=none.
The figure is the median iteration of ours over the median iteration of stock, pair by pair. Held to 1.02.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from record import record

LIMIT = 1.02
WARM_UP = 10


def main() -> int:
    """Measure, print the ratios, and return 1 when their median is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    words = [f"schedule.max_epochs={options.epochs}", f"schedule.val_interval={options.epochs}", "log_interval=10"]
    words += ["data.limit_train=200", "data.limit_val=8", "export=none", "aug=flip"]
    with tempfile.TemporaryDirectory() as folder:
        ratios = [_pair(Path(folder), index, words) for index in range(options.pairs)]
    record("tracking_overhead", pairs=ratios)
    print(f"ours over stock, pair by pair: {', '.join(f'{ratio:.4f}' for ratio in ratios)}")
    print(f"median {median(ratios):.4f} (limit {LIMIT})")
    return int(median(ratios) > LIMIT)


def _pair(folder: Path, index: int, words: list[str]) -> float:
    ours, stock = folder / f"ours{index}", folder / f"stock{index}"
    command = [sys.executable, "-m", "vision_research.train", *words, f"work_dir={ours}"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    spec = find_spec("mmdet")
    assert spec is not None and spec.origin is not None
    tool = Path(spec.origin).parent / ".mim" / "tools" / "train.py"
    env = {**os.environ, **json.loads((ours / "launch.json").read_text())["env"]}
    command = [sys.executable, str(tool), str(_without_spool(ours)), "--work-dir", str(stock)]
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
    return _seconds(ours) / _seconds(stock)


def _without_spool(run: Path) -> Path:
    """Write the config that stock trains: the same, but recorded nowhere."""
    from mmengine.config import Config

    config = Config.fromfile(run / "config.py", import_custom_modules=False)
    backends = config.visualizer.vis_backends
    config.visualizer.vis_backends = [backend for backend in backends if backend.type != "SpoolVisBackend"]
    target = run.parent / f"{run.name}-stock.py"
    config.dump(target)
    return target


def _seconds(run: Path) -> float:
    """Return the median of the iteration times that MMEngine logged, the first ones left out."""
    lines = [line for file in run.glob("*/vis_data/scalars.json") for line in file.read_text().splitlines()]
    entries = [json.loads(line) for line in lines]
    times = [entry["time"] for entry in entries if "loss" in entry and entry["step"] > WARM_UP]
    return median(times)


if __name__ == "__main__":
    sys.exit(main())
