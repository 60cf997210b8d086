"""The data set `digits_video`: videos of moving digits, laid out and annotated as MOTChallenge is.

    <root>/annotations/{train,val}.json       CocoVID JSON, as MMDetection's `mot2coco.py` writes it
    <root>/<split>/<video>/img1/000001.jpg    the frames

The only class is `digit`, as MOTChallenge's is `pedestrian`: TrackEval scores one class. As in MOTChallenge, boxes
enclose the whole digit, including hidden parts. As in YouTube-VIS, masks contain visible pixels only. A digit that is
completely hidden in a frame has a box and an empty mask there, which the metric of YouTube-VIS counts as no mask.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_research.datasets.coco.annotation_file import AnnotatedImages, write_annotations
from vision_research.datasets.digits.maker import EmbeddedDataset

if TYPE_CHECKING:
    from vision_research.datasets.digits.scenes import SceneDigit, SceneGenerator

_VERSION = 2
_CATEGORY = {"id": 1, "name": "digit"}


def _write_split(root: Path, split: str, num_videos: int) -> None:
    from vision_research.datasets.digits.scenes import VIDEO_HEIGHT_PX, VIDEO_WIDTH_PX, SceneGenerator

    generator = SceneGenerator(split)
    size = {"width": VIDEO_WIDTH_PX, "height": VIDEO_HEIGHT_PX}
    videos: list[dict[str, Any]] = []
    content = AnnotatedImages()
    for video_id in range(1, num_videos + 1):
        videos.append({"id": video_id, "name": f"{split}-{video_id:02d}", "fps": 25, **size})
        _write_video(root / split, videos[-1], generator, content)
    write_annotations(
        root / "annotations" / f"{split}.json",
        f"Moving handwritten digits, {split}",
        _VERSION,
        videos=videos,
        images=content.images,
        annotations=content.annotations,
        categories=[_CATEGORY],
    )


def _write_video(folder: Path, video: dict[str, Any], generator: SceneGenerator, content: AnnotatedImages) -> None:
    """Write the frames of a video as JPEG files, and add their entries to `content`."""
    from vision_research.datasets.digits.rendering import encode_jpeg

    (folder / video["name"] / "img1").mkdir(parents=True)
    for frame_id, frame in enumerate(generator.video(video["id"])):
        file_name = f"{video['name']}/img1/{frame_id + 1:06d}.jpg"
        (folder / file_name).write_bytes(encode_jpeg(frame.image))
        image_id = len(content.images) + 1
        image = {"id": image_id, "video_id": video["id"], "frame_id": frame_id, "mot_frame_id": frame_id + 1}
        size = {"width": video["width"], "height": video["height"]}
        content.add({**image, "file_name": file_name, **size}, [_object(digit, video["id"]) for digit in frame.digits])


def _object(digit: SceneDigit, video_id: int) -> dict[str, Any]:
    """Return the CocoVID annotation of a digit in one frame."""
    from vision_research.evaluation.coco_results import encode_mask

    left, top, right, bottom = digit.box
    return {
        "video_id": video_id,
        "category_id": _CATEGORY["id"],
        "mot_class_id": _CATEGORY["id"],
        # Unique over all videos, since it is the identity for re-identification.
        "instance_id": 100 * video_id + digit.track_id,
        "mot_instance_id": digit.track_id,
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top),
        "segmentation": encode_mask(digit.mask),
        "iscrowd": False,
        "visibility": round(digit.visibility, 4),
        "mot_conf": 1.0,
    }


DIGITS_VIDEO = EmbeddedDataset("digits_video", _VERSION, {"train": 8, "val": 3}, "num_videos", 5, _write_split)
