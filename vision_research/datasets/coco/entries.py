"""Reads the three lists of a COCO file, entry by entry, and collects what is wrong with each.

An entry may be any JSON value. What is accepted here is what CocoDataset and the evaluation accept.
"""

from __future__ import annotations

from typing import Any, TypeGuard

from vision_research.datasets.report import DROPPED_BOXES, Findings, show

# Larger than any image; also refuses NaN, infinities, and integers too large for a float.
_LIMIT = 1e12

_CATEGORY_PROBLEMS = {
    "malformed": (
        "category",
        "'categories' has {count} without an integer 'id' and a 'name': {listed}. Write each as "
        '{{"id": 1, "name": "cat"}}',
    ),
    "repeated": ("id", "ids or names of categories are there twice: {listed}. Give each its own"),
    "none": ("list", "has no categories. List the classes in 'categories'"),
}
_IMAGE_PROBLEMS = {
    "malformed": (
        "image",
        "{counted} without an 'id', a 'file_name', and a 'width' and 'height' over 0: {listed}. Write these four for "
        "every image",
    ),
    "repeated": ("id", "image ids are there twice: {listed}. Give each image its own id"),
    "none": ("list", "has no images. List them in 'images'"),
}
_ANNOTATION_PROBLEMS = {
    "malformed": (
        "annotation",
        "{counted} without 'id', 'image_id', 'category_id' and a 'bbox' of four finite numbers [x, y, width, height]: "
        "{listed}. Every annotation needs them",
    ),
    "repeated": ("id", "annotation ids are there twice: {listed}. Give each annotation its own"),
    "no_area": (
        "annotation",
        "{counted} without the number 'area' (ids {listed}). Write the area of the mask in pixels, or width * height "
        "of the box",
    ),
    "no_category": (
        "annotation",
        "{counted} of a category that 'categories' does not list: {listed}. Add the category, or remove the "
        "annotations",
    ),
}
_DROPPED = {
    **DROPPED_BOXES,
    "no_image": ("annotation", "{counted} of an image that 'images' does not list ({listed})"),
}


def _is_id(value: Any) -> TypeGuard[int | str]:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LIMIT < value < _LIMIT


def _is_size(value: Any) -> TypeGuard[float]:
    return _is_number(value) and value > 0


class Categories:
    """The categories of a file.

    Args:
        entries: the `categories` list.

    Attributes:
        names: name by id, in the order of the file.
        problems: what is wrong with the list, as texts.
    """

    def __init__(self, entries: list[Any]) -> None:
        self.names: dict[int, str] = {}
        findings = Findings()
        for entry in entries:
            number, name = (entry.get("id"), entry.get("name")) if isinstance(entry, dict) else (None, None)
            if isinstance(number, bool) or not isinstance(number, int) or not isinstance(name, str) or not name.strip():
                findings.add("malformed", show(entry))
            elif number in self.names or name in self.names.values():
                findings.add("repeated", f"{number}={show(name)}")
            else:
                self.names[number] = name
        if not entries:
            findings.add("none", "")
        self.problems = findings.texts(_CATEGORY_PROBLEMS)


class Images:
    """The images of a file.

    Args:
        entries: the `images` list.

    Attributes:
        sizes: (width, height) in pixels by image id.
        names: file name by image id, in the order of the file.
        num_frames: images that belong to a video and have a position in it.
        problems: what is wrong with the list, as texts.
    """

    def __init__(self, entries: list[Any]) -> None:
        self.sizes: dict[int | str, tuple[float, float]] = {}
        self.names: dict[int | str, str] = {}
        self.num_frames = 0
        self._findings = Findings()
        for entry in entries:
            self._read(entry)
        if not entries:
            self._findings.add("none", "")
        self.problems = self._findings.texts(_IMAGE_PROBLEMS)

    @property
    def count(self) -> int:
        """How many different images there are."""
        return len(self.sizes)

    def _read(self, entry: Any) -> None:
        fields = entry if isinstance(entry, dict) else {}
        number, name = fields.get("id"), fields.get("file_name")
        width, height = fields.get("width"), fields.get("height")
        if not (_is_id(number) and isinstance(name, str) and name and _is_size(width) and _is_size(height)):
            self._findings.add("malformed", show(entry))
        elif number in self.sizes:
            self._findings.add("repeated", f"{show(number)} ({show(name)})")
        else:
            self.sizes[number] = (width, height)
            self.names[number] = name
            self.num_frames += _is_id(fields.get("video_id")) and isinstance(fields.get("frame_id"), int)


class Annotations:
    """The annotations of a file.

    Args:
        entries: the `annotations` list.
        images: the images that annotations may refer to.
        categories: the categories that annotations may refer to.

    Attributes:
        num_boxes: boxes to train on.
        num_polygons: boxes whose object has polygons.
        num_rles: boxes whose object has run lengths.
        problems: what CocoDataset or the evaluation does not accept, as texts.
        dropped: what training and evaluation leave out, as texts.
    """

    def __init__(self, entries: list[Any], images: Images, categories: Categories) -> None:
        self.num_boxes = self.num_polygons = self.num_rles = 0
        self._ids: set[int | str] = set()
        self._findings = Findings()
        for entry in entries:
            self._read(entry, images, categories)
        self.problems = self._findings.texts(_ANNOTATION_PROBLEMS)
        self.dropped = self._findings.texts(_DROPPED)

    @property
    def masks(self) -> str:
        """The form of the masks: `polygons`; `rle` if any has run lengths; `none` if an object has neither."""
        if self.num_boxes == 0 or self.num_polygons + self.num_rles < self.num_boxes:
            return "none"
        return "rle" if self.num_rles else "polygons"

    def _read(self, entry: Any, images: Images, categories: Categories) -> None:
        fields = entry if isinstance(entry, dict) else {}
        number, image, category, box = (fields.get(name) for name in ("id", "image_id", "category_id", "bbox"))
        boxed = isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))
        if not (_is_id(number) and _is_id(image) and _is_id(category) and boxed):
            self._findings.add("malformed", show(entry))
        elif number in self._ids:
            self._findings.add("repeated", show(number))
        elif category not in categories.names:
            self._findings.add("no_category", f"annotation {show(number)}, category_id {show(category)}")
        elif not _is_number(fields.get("area")):
            self._findings.add("no_area", show(number))
        elif image not in images.sizes:
            self._findings.add("no_image", f"annotation {show(number)}, image_id {show(image)}")
        elif not fields.get("ignore"):
            self._read_box(fields, images)
        if _is_id(number):
            self._ids.add(number)

    def _read_box(self, fields: dict[str, Any], images: Images) -> None:
        """Count a box, unless CocoDataset drops it because it has no size, or no pixel in common with its image."""
        image = fields["image_id"]
        left, top, width, height = fields["bbox"]
        image_width, image_height = images.sizes[image]
        example = f"{show(images.names[image])} annotation {show(fields['id'])} box {show(fields['bbox'])}"
        if width < 1 or height < 1 or fields["area"] <= 0:
            self._findings.add("sizeless", example)
        elif min(left + width, image_width) <= max(left, 0) or min(top + height, image_height) <= max(top, 0):
            self._findings.add("outside", example)
        elif not fields.get("iscrowd"):
            self.num_boxes += 1
            self.num_polygons += bool(fields.get("segmentation")) and isinstance(fields["segmentation"], list)
            self.num_rles += isinstance(fields.get("segmentation"), dict)
