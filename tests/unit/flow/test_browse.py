"""The data of a training, looked at: the pictures are those that the detector gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hydra import compose
from omegaconf import OmegaConf

from vision_research.browsing.traced_samples import TracedDataset
from vision_research.checks.preflight import build_dataset, register_types
from vision_research.checks.validation import look_at_data
from vision_research.config.compose import Composition
from vision_research.config.errors import ConfigError
from vision_research.flow.browse import browse
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import make_embedded, specify
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.transfer import upload_bytes
from vision_research.storage.s3.uri import S3Uri


@pytest.fixture
def composed(in_conf: None, few_digits: Path, tmp_path: Path) -> Callable[..., Composition]:
    """Compose the words of the command over twelve digits."""

    def compose_words(*words: str) -> Composition:
        fixed = (f"data.root={few_digits}", "data.kind=coco", "image_size=[96,96]", f"browse.out={tmp_path / 'out'}")
        config = OmegaConf.to_object(compose("browse", overrides=[*fixed, *words]))
        return Composition(config, "", (), {}, None, "")

    return compose_words


@pytest.fixture(scope="module")
def few_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video to train on and one to validate."""
    return make_embedded("digits_video", tmp_path_factory.mktemp("data") / "videos", train=1, val=1)


@pytest.fixture
def traced(composed: Callable[..., Composition], tmp_path: Path) -> Callable[..., TracedDataset]:
    """The training images of some words, watched."""

    def build(*words: str) -> TracedDataset:
        config = composed(*words).config
        run = specify(config)
        lowered = lower(run, LoweringInputs.of(config.data, look_at_data(run), tmp_path))
        register_types(lowered)
        return TracedDataset(build_dataset(lowered, config.browse.phase.value))

    return build


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_pictures_are_named_by_their_images_and_the_same_words_give_the_same(
    composed: Callable[..., Composition], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("aug=mosaic", "schedule=1x", "browse.num=3", "browse.repeat=2")
    out = browse(composed(*words))
    assert names_in(out) == [
        *(f"{image}_{turn}.jpg" for image in ("000001", "000007", "000012") for turn in (1, 2)),
        "sheet.jpg",
    ]
    again = browse(composed(*words, f"browse.out={tmp_path / 'again'}"))
    for name in names_in(out):
        assert (out / name).read_bytes() == (again / name).read_bytes(), name
    first, second = (cv2.imread(str(out / f"000001_{turn}.jpg")) for turn in (1, 2))
    assert first.shape == second.shape == (96, 96, 3)
    assert (first != second).any(), "every time, chance augments it anew"
    printed = capsys.readouterr().out
    assert "CachedMosaic" in printed and "mmdet/datasets/transforms/transforms.py:" in printed
    assert "vision_research/transforms/load_image.py:" in printed


@pytest.mark.slow
def test_every_step_is_seen_and_the_last_is_what_the_detector_gets(traced: Callable[..., TracedDataset]) -> None:
    dataset = traced("aug=yolox", "schedule=1x", "image_size=[96,96]")
    np.random.seed(3)  # noqa: NPY002
    sample = dataset.trace(5)
    names = [step.transform for step in sample.steps]
    assert (
        names[:4] == ["LoadImageOrSkip", "LoadAnnotations", "Mosaic", "RandomAffine"] and names[-1] == "PackDetInputs"
    )
    assert len(names) == len(dataset.transforms), "images that are mixed in leave no steps of their own"
    np.random.seed(3)  # noqa: NPY002
    packed = dataset._dataset[5]
    (final,) = sample.final
    assert (final.image == packed["inputs"].numpy().transpose(1, 2, 0)).all()
    objects = packed["data_samples"].gt_instances
    kept = final.labels >= 0
    np.testing.assert_array_equal(final.boxes[kept], objects.bboxes.tensor.numpy())
    np.testing.assert_array_equal(final.labels[kept], objects.labels.numpy())


@pytest.mark.slow
def test_validation_boxes_and_masks_lie_on_the_image_that_came_to_size(traced: Callable[..., TracedDataset]) -> None:
    dataset = traced("model=mask_rcnn", "browse.phase=val")
    for index in range(4):
        (view,) = dataset.trace(index).final
        assert view.masks is not None and view.masks.shape[1:] == view.image.shape[:2]
        for box, mask in zip(view.boxes, view.masks, strict=True):
            rows, columns = np.nonzero(mask)
            edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_allclose(edges, box, atol=1.5)


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["train", "val"])
def test_masks_of_videos_lie_on_every_frame(traced: Callable[..., TracedDataset], few_videos: Path, phase: str) -> None:
    zoo = "zoo/masktrack_rcnn/masktrack-rcnn_mask-rcnn_r50_fpn_8xb1-12e_youtubevis2019"
    words = (f"model={zoo}", f"aug={zoo}", "data=digits_video", "data.kind=youtube_vis", f"data.root={few_videos}")
    views = traced(*words, f"browse.phase={phase}").trace(0).final
    assert len(views) == {"train": 2, "val": 24}[phase]
    tight = 0
    for view in views:
        assert view.image.shape[:2] == (82, 96) and view.masks is not None
        for (left, top, right, bottom), mask in zip(view.boxes, view.masks, strict=True):
            rows, columns = np.nonzero(mask)
            edges = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            # Boxes are of whole digits, masks of what is seen.
            assert (edges[:2] >= [left - 1.5, top - 1.5]).all() and (edges[2:] <= [right + 1.5, bottom + 1.5]).all()
            tight += bool(np.abs(edges - [left, top, right, bottom]).max() < 1.5)
    assert tight >= len(views), "most are hidden by none"


@pytest.mark.slow
def test_the_second_stage_is_that_of_the_end_of_the_training(
    composed: Callable[..., Composition], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("aug=mosaic_mixup", "schedule=1x", "aug.final_epochs=2", "browse.num=1")
    browse(composed(*words))
    assert "CachedMosaic" in capsys.readouterr().out
    browse(composed(*words, "browse.stage=2"))
    assert "CachedMosaic" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_picture_of_the_steps_holds_them_side_by_side(composed: Callable[..., Composition]) -> None:
    out = browse(composed("aug=flip", "browse.images=[000007.jpg]", "browse.steps=true"))
    assert names_in(out) == ["000007.jpg", "sheet.jpg"]
    height, width = cv2.imread(str(out / "000007.jpg")).shape[:2]
    assert width > 3 * height


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["browse.num=0", "browse.stage=3"], "browse.num=0: has to be 1 or more\nbrowse.stage=3: is 1, or 2"),
        (["browse.stage=2", "aug=flip"], "this training has one stage. Type browse.stage=1"),
        (["browse.images=[00003.jpg]"], "00003.jpg is not among the 12 images of browse.phase=train. Did you mean"),
        (["+aug.train.odd={type: RandomFlop}"], "RandomFlop: no such type is registered"),
        (["+aug.train.odd={type: FilterAnnotations, by_mask: true}"], "FilterAnnotations fails on it"),
    ],
)
def test_bad_words_get_one_message_and_nothing_is_written(
    composed: Callable[..., Composition], tmp_path: Path, words: list[str], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        browse(composed(*words))
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_images_in_s3_are_drawn_as_those_on_disk(
    composed: Callable[..., Composition], bucket: str, s3_settings: S3Settings, few_digits: Path, tmp_path: Path
) -> None:
    for path in few_digits.rglob("*"):
        if path.is_file():
            upload_bytes(path.read_bytes(), S3Uri.parse(f"{bucket}/digits/{path.relative_to(few_digits)}"), s3_settings)
    here = browse(composed("browse.num=2"))
    stored = (
        "storage=s3",
        f"storage.endpoint_url={s3_settings.endpoint_url}",
        f"storage.cache_dir={tmp_path / 'cache'}",
    )
    there = browse(composed("browse.num=2", f"data.root={bucket}/digits", f"browse.out={tmp_path / 's3'}", *stored))
    assert names_in(here) == names_in(there)
    for name in names_in(here):
        assert (here / name).read_bytes() == (there / name).read_bytes()
