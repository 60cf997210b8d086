"""Fixtures of small detectors, of their exports, and of a tiny COCO data set to check them on."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from numpy.typing import NDArray
from small_detectors import CLASSES, CONFIGS, draw, perturbed_detector, random_detector, resize_to, zoo

from vision_research.deploy.artifact.detections import Detections
from vision_research.deploy.build.detector import build_exported
from vision_research.deploy.build.input_shapes import with_fixed_canvas
from vision_research.deploy.build.input_spec import read_input_spec
from vision_research.deploy.check.cases import Case
from vision_research.deploy.check.difference import Difference, compare
from vision_research.deploy.check.reference import PythonDetector
from vision_research.deploy.families.registry import find_family

NUM_IMAGES = 10


@pytest.fixture
def config_of() -> Callable[[str], Config]:
    """A small config of a family: rtmdet, retinanet, faster_rcnn or yolox."""
    return lambda family: CONFIGS[family]()


@pytest.fixture
def build_detector() -> Callable[[Config], Any]:
    """Build a config's detector with random weights that find something."""
    return random_detector


@pytest.fixture
def zoo_detector() -> Callable[..., tuple[Config, Any]]:
    """Build one of MMDetection's own configs, made smaller by a function, on small images: its name without suffix."""

    def build(name: str, shrink: Callable[[Config], None] = lambda config: None) -> tuple[Config, Any]:
        config = zoo(f"{name}.py")
        resize_to(config, (192, 128), (192, 192))
        shrink(config)
        return config, perturbed_detector(config)

    return build


@pytest.fixture
def agreement(without_profiling: None) -> Callable[..., list[tuple[Difference, Difference]]]:
    """Export a detector, load what was saved, and compare it with the detector in Python: detector, config, cases.

    The result holds the difference from the tensor and from the image for each case; a fixed canvas may be given.
    """

    def compare_all(
        detector: Any, config: Config, cases: list[Case], shape: tuple[int, int] | None
    ) -> list[tuple[Difference, Difference]]:
        pipeline = config.test_dataloader.dataset.pipeline
        spec = read_input_spec(pipeline, config.model.data_preprocessor)
        spec = spec if shape is None else with_fixed_canvas(spec, shape, 1)
        reference = PythonDetector(detector, pipeline, spec, find_family(detector))
        buffer = io.BytesIO()
        torch.jit.save(build_exported(detector, spec, torch.from_numpy(draw(9, 80, 110))), buffer)
        buffer.seek(0)
        module = torch.jit.load(buffer)
        return [_compare_case(module, reference, case) for case in cases]

    return compare_all


def _compare_case(module: Any, reference: PythonDetector, case: Case) -> tuple[Difference, Difference]:
    prepared = reference.prepare(case.image)
    with reference.thresholds(case.score_thr, case.max_per_img):
        expected = reference.predict(prepared)
    module.postprocess.score_thr = reference.score_thr if case.score_thr is None else case.score_thr
    from_tensor = module.forward_tensor(prepared.tensor, *reference.geometry(prepared))
    from_image = module(torch.from_numpy(case.image))
    return compare(Detections(*from_tensor), expected), compare(Detections(*from_image), expected)


@pytest.fixture
def picture() -> Callable[..., NDArray[np.uint8]]:
    """Draw a picture: seed, height, width."""
    return draw


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors are slower on many threads, and the machine may be busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def coco_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO data set of ten pictures, landscape and portrait."""
    folder = tmp_path_factory.mktemp("coco")
    images = []
    for index in range(NUM_IMAGES):
        height, width = (96, 144) if index % 3 else (150, 100)
        assert cv2.imwrite(str(folder / f"{index}.png"), draw(index, height, width))
        images.append({"id": index, "file_name": f"{index}.png", "height": height, "width": width})
    box = {"category_id": 1, "bbox": [10, 10, 30, 30], "area": 900, "iscrowd": 0}
    annotations = [{"id": index + 1, "image_id": index, **box} for index in range(NUM_IMAGES)]
    categories = [{"id": index + 1, "name": name} for index, name in enumerate(CLASSES)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "val.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def trained(tmp_path: Path, coco_folder: Path) -> Callable[..., tuple[Path, Path]]:
    """Write a config and a checkpoint as a run would leave them; returns their paths."""

    def write(family: str, classes: tuple[str, ...] = CLASSES) -> tuple[Path, Path]:
        config = CONFIGS[family]()
        pipeline = config.test_dataloader.dataset.pipeline
        dataset = {
            "type": "CocoDataset",
            "data_root": str(coco_folder),
            "ann_file": "val.json",
            "data_prefix": {"img": ""},
            "metainfo": {"classes": CLASSES},
            "test_mode": True,
            "pipeline": pipeline,
        }
        loader = {"batch_size": 1, "num_workers": 0, "dataset": dataset}
        config.val_dataloader = config.test_dataloader = loader
        config.dump(tmp_path / "config.py")
        checkpoint = {
            "state_dict": random_detector(config).state_dict(),
            "meta": {"dataset_meta": {"classes": classes}},
        }
        torch.save(checkpoint, tmp_path / "best.pth")
        return tmp_path / "config.py", tmp_path / "best.pth"

    return write


@pytest.fixture
def without_profiling() -> Iterator[None]:
    """Scripts run as they are: what torch learns from the first runs takes longer here than the runs themselves."""
    before = torch._C._get_graph_executor_optimize()
    torch._C._set_graph_executor_optimize(False)
    yield
    torch._C._set_graph_executor_optimize(before)
