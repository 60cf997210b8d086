"""What composing `model=zoo/X` costs, over composing the same tree from a YAML file; both in turn, in one process.

    python benchmarks/zoo_speed.py [--runs 15]

What a process keeps in memory is forgotten each time, as a command begins without it; what the user's cache folder
keeps is not. The first time, when nothing is kept yet, is printed beside it. Held to 1.3 times.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from record import record

from vision_research.config import zoo, zoo_cache
from vision_research.config.compose import conf_dir, register
from vision_research.registry import monitor_of

LIMIT = 1.3
NAMES = (
    "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
    "rtmdet/rtmdet_tiny_8xb32-300e_coco",
    "dino/dino-4scale_r50_8xb2-12e_coco",
    "mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco",
)


def main() -> int:
    """Measure, print a line per config, and return 1 when a ratio is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    warnings.filterwarnings("ignore")
    register(monitor_of)
    ratios, firsts, medians_ms = [], [], []
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(conf_dir()), version_base="1.3"):
        for name in NAMES:
            loaded = zoo.ZooConfigSource("here", "mmdet://zoo").load_config(f"model/zoo/{name}").config
            option = Path(folder) / "model" / "same.yaml"
            option.parent.mkdir(exist_ok=True)
            option.write_text(OmegaConf.to_yaml(loaded))
            searched = f"hydra.searchpath=[mmdet://zoo,file://{folder}]"
            first = _first(name, searched)
            times: dict[str, list[float]] = {f"model=zoo/{name}": [], "model=same": []}
            for _ in range(runs):
                for word, taken in times.items():
                    zoo._read.cache_clear()
                    start = time.perf_counter()
                    compose("train", overrides=[searched, word])
                    taken.append(time.perf_counter() - start)
            ours, theirs = (median(taken) for taken in times.values())
            ratios.append(ours / theirs)
            firsts.append(first / theirs)
            medians_ms.append((1000 * ours, 1000 * theirs))
            figures = f"{ours * 1000:5.0f} ms, YAML {theirs * 1000:5.0f} ms, {ours / theirs:.2f} times"
            print(f"{name:<62} {figures}, first {first * 1000:5.0f} ms")
    ours_ms, yaml_ms = medians_ms[0]
    record("zoo_speed", ratios=ratios, ours_ms=ours_ms, yaml_ms=yaml_ms, first=[min(firsts), max(firsts)])
    return int(max(ratios) > LIMIT)


def _first(name: str, searched: str) -> float:
    """Time one composition with an empty cache folder."""
    before = zoo_cache.FOLDER
    with tempfile.TemporaryDirectory() as folder:
        zoo_cache.FOLDER = Path(folder)
        zoo._read.cache_clear()
        start = time.perf_counter()
        compose("train", overrides=[searched, f"model=zoo/{name}"])
        taken = time.perf_counter() - start
    zoo_cache.FOLDER = before
    return taken


if __name__ == "__main__":
    sys.exit(main())
