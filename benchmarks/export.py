"""How fast exported models are: a uint8 image to boxes on the CPU, every format and the detector in Python in turns.

    python benchmarks/export.py [--rounds 7] [--threads 1] [--formats torchscript onnx openvino pt2] [--shape 320 320]

RTMDet-tiny and Faster R-CNN R50 in their own sizes, with random weights that find something. Prints for each format the
ratio of its median time to the detector's; all of a round in one process, one after the other.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from export_zoo import ZooConfig, draw, perturbed_detector, zoo_config
from numpy.typing import NDArray

from vision_research.deploy.detector import Form, find_family
from vision_research.deploy.formats.job import Job
from vision_research.deploy.input_spec import InputSpec, read_input_spec, with_fixed_canvas
from vision_research.deploy.reference import PythonDetector
from vision_research.deploy.request import FORMATS
from vision_research.deploy.runners.runner import RUNNERS

DETECTORS = (
    ZooConfig("rtmdet/rtmdet_tiny_8xb32-300e_coco", size=None, outputs={r"rtm_reg\.\d+$": (1.0, 0.5)}),
    ZooConfig("faster_rcnn/faster-rcnn_r50_fpn_1x_coco", size=None),
)

Run = Callable[[NDArray[np.uint8]], Any]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--formats", nargs="+", default=["torchscript", "onnx", "openvino", "pt2"])
    parser.add_argument("--shape", type=int, nargs=2, help="height and width of the input; else the config's own")
    parser.add_argument("--only", default="", help="part of a config's name")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for zoo in DETECTORS:
        if arguments.only in zoo.name:
            print(zoo.name, flush=True)
            for line in measure(zoo, arguments):
                print(f"  {line}", flush=True)


def measure(zoo: ZooConfig, arguments: argparse.Namespace) -> list[str]:
    """Time one detector in Python and in every format."""
    config = zoo_config(zoo)
    # The weights are spread on small pictures, which takes seconds; the proposals are as many as the config says.
    small = zoo_config(replace(zoo, size=(256, 192)))
    if small.model.get("rpn_head"):
        small.model.test_cfg.rpn.max_per_img = 1000
    detector = perturbed_detector(zoo, small)
    spec = read_input_spec(config.test_dataloader.dataset.pipeline, config.model.data_preprocessor)
    if arguments.shape:
        spec = with_fixed_canvas(spec, tuple(arguments.shape), 32)
    image = draw(7, 480, 640)
    with tempfile.TemporaryDirectory() as folder:
        runs = load_all(detector, config, spec, image, arguments, Path(folder))
        seconds = time_in_turns(runs, image, arguments.rounds)
    eager = median(seconds["eager"])
    return [
        f"{name:12} {1000 * median(times):8.1f} ms  {median(times) / eager:5.2f} of eager"
        for name, times in seconds.items()
    ]


def load_all(
    detector: Any,
    config: Any,
    spec: InputSpec,
    image: NDArray[np.uint8],
    arguments: argparse.Namespace,
    folder: Path,
) -> dict[str, Run]:
    """The detector in Python and each format, from an image to detections."""
    family = find_family(detector)
    python = PythonDetector(detector, config.test_dataloader.dataset.pipeline, spec, family)
    runs: dict[str, Run] = {"eager": lambda given: python.predict(python.prepare(given))}
    job = Job(detector, spec, Form(), "fp32", family.gives_masks, [image])
    for name in arguments.formats:
        path = folder / f"model{FORMATS[name]}"
        importlib.import_module(f"vision_research.deploy.formats.{name}").write(job, path)
        runner = RUNNERS[path.suffix].load(str(path), arguments.threads)
        runs[name] = lambda given, runner=runner: runner.run({"image": given})  # type: ignore[misc]
    return runs


def time_in_turns(runs: dict[str, Run], image: NDArray[np.uint8], rounds: int) -> dict[str, list[float]]:
    """Seconds of each, round by round; two rounds before to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(-2, rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            run(image)
            if turn >= 0:
                seconds[name].append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main()
