"""How fast exported models are: a uint8 image to boxes on the CPU, every format and the detector in Python in turns.

    python benchmarks/export.py [--rounds 7] [--threads N] [--formats torchscript torchscript-fused onnx openvino pt2]
    python benchmarks/export.py --run WORK_DIR

RTMDet-tiny and Faster R-CNN R50 in their own sizes, with random weights that find something; or the detector of a
trained run, on an image of its validation data, which finds what detectors find. Prints for each format the ratio of
its median time to the detector's; all of a round in one process, one after the other.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from export_zoo import ZOO, ZooConfig, draw, perturbed_detector, zoo_config
from numpy.typing import NDArray
from record import record, recorded

from vision_research.deploy.build.input_shapes import with_fixed_canvas
from vision_research.deploy.build.input_spec import InputSpec, read_input_spec
from vision_research.deploy.build.modules import Form
from vision_research.deploy.build.source import load_source
from vision_research.deploy.check.cases import load_images
from vision_research.deploy.check.reference import PythonDetector
from vision_research.deploy.families.registry import find_family
from vision_research.deploy.formats.job import Job
from vision_research.deploy.formats.registry import FORMATS, format_of
from vision_research.detectors.weights import load_weights
from vision_research.flow.source import best_checkpoint
from vision_research.storage.checkpoint_types import load_checkpoint_safely
from vision_research.work_dir import WorkDir

DETECTORS = (
    replace(next(zoo for zoo in ZOO["dense"] if "rtmdet" in zoo.name), size=None),
    ZooConfig("faster_rcnn/faster-rcnn_r50_fpn_1x_coco", size=None),
)
# TorchScript with `export.fuse=true`.
FUSED = "torchscript-fused"

Run = Callable[[NDArray[np.uint8]], Any]


@dataclass(frozen=True)
class Timed:
    """What is timed.

    Attributes:
        detector: MMDetection's.
        pipeline: its test pipeline.
        spec: its preprocessing.
        image: (H, W, 3) uint8 BGR.
    """

    detector: Any
    pipeline: Any
    spec: InputSpec
    image: NDArray[np.uint8]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="else all cores")
    parser.add_argument("--formats", nargs="+", default=["torchscript", FUSED, "onnx", "openvino", "pt2"])
    parser.add_argument("--shape", type=int, nargs=2, help="height and width of the input; else the config's own")
    parser.add_argument("--only", default="", help="part of a config's name")
    parser.add_argument("--run", type=Path, help="work_dir of a trained run")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.run:
        report("trained", trained(arguments.run), arguments)
        return
    for zoo in DETECTORS:
        if arguments.only in zoo.name:
            report(zoo.name, random(zoo, arguments.shape), arguments)


def report(name: str, timed: Timed, arguments: argparse.Namespace) -> None:
    """Time one detector in Python and in every format, and print."""
    print(name, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        runs = load_all(timed, arguments, Path(folder))
        seconds = time_in_turns(runs, timed.image, arguments.rounds)
    eager = median(seconds["eager"])
    ratios = {form: [median(times) / eager] for form, times in seconds.items() if form != "eager"}
    record("export", **{name: {**recorded("export").get(name, {}), str(arguments.threads): ratios}})
    for form, times in seconds.items():
        print(f"  {form:18} {1000 * median(times):8.1f} ms  {median(times) / eager:5.2f} of eager", flush=True)


def random(zoo: ZooConfig, shape: tuple[int, int] | None) -> Timed:
    """A zoo detector with random weights."""
    config = zoo_config(zoo)
    # The weights are spread on small pictures, which takes seconds; the proposals are as many as the config says.
    small = zoo_config(replace(zoo, size=(256, 192)))
    if small.model.get("rpn_head"):
        small.model.test_cfg.rpn.max_per_img = 1000
    spec = read_input_spec(config.test_dataloader.dataset.pipeline, config.model.data_preprocessor)
    spec = with_fixed_canvas(spec, tuple(shape), 32) if shape else spec
    return Timed(perturbed_detector(zoo, small), config.test_dataloader.dataset.pipeline, spec, draw(7, 480, 640))


def trained(work_dir: Path) -> Timed:
    """The best detector of a run, and the first image of its validation data."""
    run = WorkDir(work_dir.absolute())
    source = load_source(run.config_py)
    checkpoint = best_checkpoint(run, str(work_dir))[0]
    load_weights(source.detector, load_checkpoint_safely(checkpoint), source.classes, str(checkpoint))
    ((_, image),) = load_images(source.dataset, source.pipeline, 1)
    return Timed(source.detector, source.pipeline, source.input_spec(None), image)


def load_all(timed: Timed, arguments: argparse.Namespace, folder: Path) -> dict[str, Run]:
    """The detector in Python and each format, from an image to detections."""
    family = find_family(timed.detector)
    python = PythonDetector(timed.detector, timed.pipeline, timed.spec, family)
    runs: dict[str, Run] = {"eager": lambda given: python.predict(python.prepare(given))}
    for name in arguments.formats:
        form = name.removesuffix("-fused")
        job = Job(timed.detector, timed.spec, Form(fuse=name == FUSED), "fp32", family.gives_masks, [timed.image])
        path = folder / f"{name}{FORMATS[form].suffix}"
        FORMATS[form].write(job, path)
        runner = format_of(path).load(str(path), arguments.threads)
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
