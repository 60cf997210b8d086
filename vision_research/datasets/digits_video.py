"""Makes the embedded tracking data set: moving digits in the layout and with the annotations of MOTChallenge.

    <root>/annotations/{train,val}.json       CocoVID JSON, as MMDetection's `mot2coco.py` writes it
    <root>/<split>/<video>/img1/000001.jpg    the frames

Its one class is `digit`, as MOTChallenge's is `pedestrian`: TrackEval scores that class alone. Boxes are those of whole
digits, seen or hidden, as MOTChallenge's are; masks are of what is seen, as those of YouTube-VIS are: what a digit in
front hides cannot be learnt from pixels. A digit that is wholly hidden in a frame has its box and an empty mask there,
which YouTube-VIS' metric counts as no mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_research.datasets.made_once import Generator, make_once
from vision_research.work_dir import write_json

# Raise it with every change of what is made, and `data.root` in conf/data/digits_video.yaml with it.
GENERATOR_VERSION = 2
_DEFAULT_COUNTS = {"train": 8, "val": 3}
CLASSES = ("digit",)
CLASS_ID = 1


@dataclass(frozen=True)
class DigitsVideoPaths:
    """Where everything of the data set lies.

    Attributes:
        root: its folder; everything below is relative to it.
        train_ann: annotations of the training videos.
        val_ann: annotations of the validation videos.
        train_prefix: folder of the training videos.
        val_prefix: folder of the validation videos.
    """

    root: Path
    train_ann: str = "annotations/train.json"
    val_ann: str = "annotations/val.json"
    train_prefix: str = "train/"
    val_prefix: str = "val/"


def make_digits_video(folder: Path, *, num_train: int | None = None, num_val: int | None = None) -> DigitsVideoPaths:
    """Make the data set unless it is there; the same bytes every time on one machine.

    Args:
        folder: its folder; made when missing. One that is there is taken as it is, if this generator made it.
        num_train: training videos of 24 frames; None takes what is there, or makes 8.
        num_val: validation videos; None takes what is there, or makes 3.

    Returns:
        Where everything lies.

    Raises:
        ConfigError: the folder cannot be written, or holds something else.
    """
    generator = Generator("digits_video", GENERATOR_VERSION, _DEFAULT_COUNTS, "num_videos", 5, _write_split)
    return DigitsVideoPaths(make_once(generator, folder, {"train": num_train, "val": num_val}))


def _write_split(root: Path, split: str, num_videos: int) -> None:
    from vision_research.datasets.digits_render import encode_jpeg, run_lengths
    from vision_research.datasets.digits_video_render import HEIGHT, WIDTH, VideoRenderer

    renderer = VideoRenderer(split)
    videos: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for video_id in range(1, num_videos + 1):
        name = f"{split}-{video_id:02d}"
        videos.append({"id": video_id, "name": name, "fps": 25, "width": WIDTH, "height": HEIGHT})
        (root / split / name / "img1").mkdir(parents=True)
        for frame_id, frame in enumerate(renderer.render(video_id)):
            file_name = f"{name}/img1/{frame_id + 1:06d}.jpg"
            (root / split / file_name).write_bytes(encode_jpeg(frame.image))
            image = {"id": len(images) + 1, "video_id": video_id, "frame_id": frame_id, "mot_frame_id": frame_id + 1}
            images.append({**image, "file_name": file_name, "width": WIDTH, "height": HEIGHT})
            for digit in frame.digits:
                left, top, right, bottom = digit.box
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image["id"],
                        "video_id": video_id,
                        "category_id": CLASS_ID,
                        "mot_class_id": CLASS_ID,
                        # One person is one number over all videos; re-identification tells them apart by it.
                        "instance_id": 100 * video_id + digit.track_id,
                        "mot_instance_id": digit.track_id,
                        "bbox": [left, top, right - left, bottom - top],
                        "area": (right - left) * (bottom - top),
                        "segmentation": run_lengths(digit.mask),
                        "iscrowd": False,
                        "visibility": round(digit.visibility, 4),
                        "mot_conf": 1.0,
                    }
                )
    (root / "annotations").mkdir(exist_ok=True)
    categories = [{"id": CLASS_ID, "name": CLASSES[0]}]
    info = {"description": f"Moving handwritten digits, {split}", "version": str(GENERATOR_VERSION)}
    write_json(
        root / "annotations" / f"{split}.json",
        {"info": info, "videos": videos, "images": images, "annotations": annotations, "categories": categories},
    )
