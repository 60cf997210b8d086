"""A broken image is left out of the training, counted, and named; too many stop it; validation refuses the first."""

from __future__ import annotations

import errno
import json
import logging
import multiprocessing
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS, TRANSFORMS
from mmdet.utils import register_all_modules
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from vision_research.datasets.image_files import sample_problems
from vision_research.inference.image_source import find_images
from vision_research.transforms.load_image import LoadImageOrSkip

NUM_IMAGES = 12
BROKEN = (2, 5, 7)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A COCO data set of 12 images; 2 is empty, 5 is no image, 7 is missing."""
    (tmp_path / "images").mkdir()
    images, annotations = [], []
    for number in range(NUM_IMAGES):
        images.append({"id": number, "file_name": f"{number}.jpg", "width": 32, "height": 32})
        box = {"bbox": [4, 4, 20, 20], "area": 400, "iscrowd": 0, "category_id": 1 + number % 2}
        annotations.append({"id": number + 1, "image_id": number} | box)
        cv2.imwrite(str(tmp_path / "images" / f"{number}.jpg"), np.full((32, 32, 3), 10 * number, np.uint8))
    (tmp_path / "images" / "2.jpg").write_bytes(b"")
    (tmp_path / "images" / "5.jpg").write_bytes(b"no image")
    (tmp_path / "images" / "7.jpg").unlink()
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "train.json").write_text(json.dumps(content))
    return tmp_path


def training(tmp_path: Path, max_skipped: int = 10) -> LoadImageOrSkip:
    return LoadImageOrSkip(skipped_file=str(tmp_path / "skipped.txt"), max_skipped=max_skipped)


def load(transform: LoadImageOrSkip, root: Path, number: int) -> dict[str, Any] | None:
    return transform({"img_path": str(root / "images" / f"{number}.jpg")})


def test_it_is_registered() -> None:
    assert TRANSFORMS.get("mmdet.LoadImageOrSkip") is LoadImageOrSkip


def test_a_sound_image_is_loaded_as_ever(root: Path) -> None:
    sample = load(training(root), root, 3)

    assert sample is not None
    assert sample["img"].shape == (32, 32, 3)
    assert sample["img_shape"] == sample["ori_shape"] == (32, 32)
    assert not (root / "skipped.txt").exists()


@pytest.mark.parametrize(
    ("number", "reason"),
    [(2, "it cannot be decoded"), (5, "it cannot be decoded"), (7, "No such file or directory")],
)
def test_a_broken_image_is_left_out_with_one_line_and_one_warning(
    root: Path, caplog: pytest.LogCaptureFixture, number: int, reason: str
) -> None:
    transform = training(root)

    with caplog.at_level(logging.WARNING):
        assert [load(transform, root, number) for _ in range(3)] == [None, None, None]

    path = root / "images" / f"{number}.jpg"
    assert (root / "skipped.txt").read_text() == f"{path}\n"
    assert caplog.messages == [f"left out of the training: {path} ({reason}); 1 so far"]


def test_more_than_allowed_stop_the_run_and_are_named(root: Path) -> None:
    transform = training(root, max_skipped=2)
    load(transform, root, 2)
    load(transform, root, 5)

    with pytest.raises(RuntimeError) as error:
        load(transform, root, 7)

    names = ", ".join(str(root / "images" / f"{number}.jpg") for number in BROKEN)
    assert str(error.value) == (
        f"data.max_bad_images=2: 3 training images cannot be used: {names}. Replace the files, or type "
        "data.max_bad_images=6 to train without them"
    )


def test_other_processes_count_too(root: Path) -> None:
    (root / "skipped.txt").write_text("/elsewhere/a.jpg\n/elsewhere/b.jpg\n")

    with pytest.raises(RuntimeError, match="3 training images cannot be used: /elsewhere/a.jpg, /elsewhere/b.jpg, "):
        load(training(root, max_skipped=2), root, 2)


def skip_many(folder: Path) -> None:
    transform = LoadImageOrSkip(skipped_file=str(folder / "skipped.txt"), max_skipped=100)
    for number in range(100):
        transform({"img_path": f"/nowhere/{number}.jpg"})


@pytest.mark.slow
def test_processes_that_skip_the_same_images_write_each_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=skip_many, args=(tmp_path,)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()

    assert [child.exitcode for child in children] == [0] * 4
    lines = (tmp_path / "skipped.txt").read_text().splitlines()
    assert sorted(lines) == sorted(f"/nowhere/{number}.jpg" for number in range(100))


@pytest.mark.parametrize("number", BROKEN)
def test_validation_refuses_a_broken_image(root: Path, number: int) -> None:
    with pytest.raises(
        RuntimeError, match=rf"the image {root}/images/{number}.jpg cannot be used: .* Replace the file"
    ):
        load(LoadImageOrSkip(skip=False), root, number)


def test_a_fault_of_the_machine_is_no_broken_image(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("mmengine.fileio.get", fail)

    with pytest.raises(OSError, match="Too many open files"):
        load(training(root), root, 3)
    assert not (root / "skipped.txt").exists()


def test_skipping_needs_a_file() -> None:
    with pytest.raises(ValueError, match="skip=True needs skipped_file"):
        LoadImageOrSkip()


def test_its_repr_tells_its_settings(tmp_path: Path) -> None:
    assert repr(training(tmp_path)).endswith(
        f"backend_args=None, skip=True, skipped_file='{tmp_path}/skipped.txt', max_skipped=10)"
    )


WRAPPERS: dict[str, Any] = {
    "none": lambda dataset: dataset,
    "repeat": lambda dataset: {"type": "RepeatDataset", "times": 2, "dataset": dataset},
    "concat": lambda dataset: {"type": "ConcatDataset", "datasets": [dataset, dataset]},
    "balanced": lambda dataset: {"type": "ClassBalancedDataset", "oversample_thr": 0.9, "dataset": dataset},
    "nested": lambda dataset: {
        "type": "RepeatDataset",
        "times": 2,
        "dataset": {"type": "ConcatDataset", "datasets": [dataset, dataset]},
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_cached_mosaic_and_mixup_train_on_the_rest(root: Path, wrapper: str, num_workers: int) -> None:
    register_all_modules(init_default_scope=True)
    pipeline = [
        {"type": "LoadImageOrSkip", "skipped_file": str(root / "skipped.txt"), "max_skipped": 3},
        {"type": "LoadAnnotations", "with_bbox": True},
        {"type": "CachedMosaic", "img_scale": (32, 32), "max_cached_images": 6},
        {"type": "Resize", "scale": (32, 32), "keep_ratio": False},
        {"type": "CachedMixUp", "img_scale": (32, 32), "max_cached_images": 4},
        {"type": "PackDetInputs"},
    ]
    coco = {
        "type": "CocoDataset",
        "data_root": str(root),
        "ann_file": "train.json",
        "data_prefix": {"img": "images/"},
        "metainfo": {"classes": ("cat", "dog")},
        "pipeline": pipeline,
    }
    dataset = DATASETS.build(WRAPPERS[wrapper](coco))

    loader = DataLoader(dataset, batch_size=3, num_workers=num_workers, collate_fn=pseudo_collate)
    paths = [sample.img_path for batch in loader for sample in batch["data_samples"]]

    assert len(paths) == len(dataset)
    assert all(Path(path).exists() for path in paths)
    lines = (root / "skipped.txt").read_text().splitlines()
    assert sorted(lines) == [str(root / "images" / f"{number}.jpg") for number in BROKEN]


def huge_png(path: Path, width: int, height: int) -> Path:
    """A picture of one colour, a thousandth of its pixels in bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 + (width + 7) // 8) * height)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


@pytest.mark.fault("a file of 100 kB that holds 120 million pixels", "not decoded; named with its size")
def test_a_picture_with_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    path, skipped = huge_png(tmp_path / "huge.png", 12_000, 10_000), tmp_path / "skipped.txt"
    assert path.stat().st_size < 100_000
    assert LoadImageOrSkip(skipped_file=str(skipped))({"img_path": str(path)}) is None
    assert skipped.read_text() == f"{path}\n"
    with pytest.raises(RuntimeError, match=r"12000 x 10000 pixels, and data.max_pixels=100000000. Replace the file"):
        LoadImageOrSkip(skip=False)({"img_path": str(path)})
    (problem,) = sample_problems("data.root", [path])
    assert "huge.png (12000 x 10000 pixels, and data.max_pixels=100000000)" in problem
    (picture,) = find_images(str(path)).pictures()
    assert picture.image is None and picture.problem.startswith("12000 x 10000 pixels")


def test_a_typed_number_of_pixels_is_the_limit(tmp_path: Path) -> None:
    path = huge_png(tmp_path / "huge.png", 400, 300)
    assert LoadImageOrSkip(skip=False)({"img_path": str(path)})["img"].shape == (300, 400, 3)
    with pytest.raises(RuntimeError, match="400 x 300 pixels, and data.max_pixels=119999"):
        LoadImageOrSkip(skip=False, max_pixels=119_999)({"img_path": str(path)})
    (picture,) = find_images(str(path), 119_999).pictures()
    assert picture.image is None
