"""Small detectors with random weights that find something, and a tiny COCO data set to check them on."""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from numpy.typing import NDArray
from torch import nn

from vision_research.deploy.cases import Case
from vision_research.deploy.detections import Detections, Difference, compare
from vision_research.deploy.detector import build_exported, find_family
from vision_research.deploy.input_shapes import with_fixed_canvas
from vision_research.deploy.input_spec import read_input_spec
from vision_research.deploy.reference import PythonDetector

CLASSES = ("ring", "disc", "bar")
NUM_IMAGES = 10

# The layers whose outputs become scores and boxes; everything before them keeps torch's own random weights.
_LAST = ("rtm_cls", "rtm_reg", "retina_cls", "retina_reg", "rpn_cls", "rpn_reg", "fc_cls", "fc_reg", "multi_level_conv")


def zoo(name: str) -> Config:
    """A config of MMDetection's own."""
    spec = importlib.util.find_spec("mmdet")
    assert spec is not None and spec.submodule_search_locations
    return Config.fromfile(Path(spec.submodule_search_locations[0], ".mim", "configs", name))


def _resize_to(config: Config, scale: tuple[int, int], pad: tuple[int, int] | None = None) -> None:
    for step in config.test_dataloader.dataset.pipeline:
        if step["type"] == "Resize":
            step["scale"] = scale
        if step["type"] == "Pad" and pad is not None:
            step["size"] = pad


def _rtmdet() -> Config:
    config = zoo("rtmdet/rtmdet_tiny_8xb32-300e_coco.py")
    _resize_to(config, (192, 160), (192, 192))
    config.model.backbone.widen_factor = 0.125
    config.model.neck.update(in_channels=[32, 64, 128], out_channels=32)
    config.model.bbox_head.update(num_classes=len(CLASSES), in_channels=32, feat_channels=32)
    return config


def _retinanet() -> Config:
    config = zoo("retinanet/retinanet_r18_fpn_1x_coco.py")
    _resize_to(config, (192, 128))
    config.model.neck.out_channels = 32
    config.model.bbox_head.update(num_classes=len(CLASSES), in_channels=32, feat_channels=32, stacked_convs=1)
    return config


def _faster_rcnn() -> Config:
    config = zoo("faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py")
    _resize_to(config, (192, 128))
    config.model.backbone.depth = 18
    config.model.neck.update(in_channels=[64, 128, 256, 512], out_channels=32)
    config.model.rpn_head.update(in_channels=32, feat_channels=32)
    config.model.roi_head.bbox_roi_extractor.out_channels = 32
    config.model.roi_head.bbox_head.update(num_classes=len(CLASSES), in_channels=32, fc_out_channels=64)
    config.model.test_cfg.rpn.update(nms_pre=200, max_per_img=150)
    return config


def _yolox() -> Config:
    config = zoo("yolox/yolox_tiny_8xb8-300e_coco.py")
    _resize_to(config, (192, 192))
    config.model.bbox_head.num_classes = len(CLASSES)
    return config


CONFIGS: dict[str, Callable[[], Config]] = {
    "rtmdet": _rtmdet,
    "retinanet": _retinanet,
    "faster_rcnn": _faster_rcnn,
    "yolox": _yolox,
}


def random_detector(config: Config, seed: int = 0) -> Any:
    """A detector with random weights that finds objects of various classes, sizes and scores in any picture."""
    register_all_modules(init_default_scope=True)
    torch.manual_seed(seed)
    detector = MODELS.build(config.model).eval()
    for name, parameter in detector.named_parameters():
        if not any(layer in name for layer in _LAST):
            continue
        if name.endswith("weight"):
            parameter.data.normal_(0, 2 / parameter[0].numel() ** 0.5)
        elif "rtm_reg" in name:
            parameter.data.fill_(2.0)
        elif "reg" not in name:
            parameter.data.fill_(-2.0)
    return detector


def perturbed_detector(config: Config, seed: int = 0) -> Any:
    """A detector of which every layer does something: random weights, and noise on those that start as zero or alike.

    Queries differ from one another by far, and so do the scores of classes.
    """
    register_all_modules(init_default_scope=True)
    torch.manual_seed(seed)
    detector = MODELS.build(config.model).eval()
    for name, parameter in detector.named_parameters():
        if "backbone" in name:
            continue
        # level_embed is memory as it was found, until init_weights is called, which would fetch pretrained weights.
        if name == "level_embed" or ("embed" in name and "query" in name):
            parameter.data.normal_(0, 1)
        elif "proposal_bboxes" in name:
            parameter.data.uniform_(0.2, 0.8)
        elif "cls" in name and name.endswith("weight"):
            parameter.data.normal_(0, 2 / parameter[0].numel() ** 0.5)
        elif "cls" in name:
            parameter.data.fill_(-2.0)
        else:
            parameter.data.add_(torch.randn_like(parameter) * (0.15 if "decoder" in name else 0.05))
    _see_pictures(detector)
    return detector


@torch.no_grad()
def _see_pictures(detector: Any) -> None:
    """Batch norms take their statistics from pictures: with torch's own, every place of a deep map looks alike."""
    norms = [module for module in detector.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    pictures = torch.stack([torch.from_numpy(draw(seed, 128, 192)).permute(2, 0, 1) for seed in range(100, 104)])
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    detector.extract_feat((pictures - 127.0) / 60.0)
    detector.eval()


def draw(seed: int, height: int = 96, width: int = 144) -> NDArray[np.uint8]:
    """A noisy picture with a few shapes, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    for _ in range(4):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        cv2.circle(image, centre, int(rng.integers(4, 25)), tuple(rng.integers(0, 256, 3).tolist()), -1)
    return image


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
        _resize_to(config, (192, 128), (192, 192))
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
