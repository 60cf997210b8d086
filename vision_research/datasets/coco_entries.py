"""Reads the three lists of a COCO file, entry by entry, and collects what is wrong with each.

An entry may be any JSON value. What passes here is what CocoDataset and the evaluation can take.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from vision_research.datasets.findings import Finding, plural, show

# Beyond any image; also refuses NaN, infinities, and integers too large for a float.
_LIMIT = 1e12


def _is_id(value: Any) -> TypeGuard[int | str]:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LIMIT < value < _LIMIT


def _is_size(value: Any) -> TypeGuard[float]:
    return _is_number(value) and value > 0


@dataclass
class Categories:
    """The categories of a file.

    Attributes:
        names: name by id, in the order of the file.
    """

    names: dict[int, str] = field(default_factory=dict)
    _malformed: Finding = field(default_factory=Finding)
    _repeated: Finding = field(default_factory=Finding)

    @classmethod
    def read(cls, entries: list[Any]) -> Categories:
        """Read the `categories` list."""
        found = cls()
        for entry in entries:
            number, name = (entry.get("id"), entry.get("name")) if isinstance(entry, dict) else (None, None)
            if isinstance(number, bool) or not isinstance(number, int) or not isinstance(name, str) or not name.strip():
                found._malformed.add(show(entry))
            elif number in found.names or name in found.names.values():
                found._repeated.add(f"{number}={show(name)}")
            else:
                found.names[number] = name
        return found

    def problems(self) -> Iterator[str]:
        """Say what is wrong with the list."""
        if self._malformed:
            yield (
                f"'categories' has {self._malformed.count} without an integer 'id' and a 'name': "
                f'{self._malformed.listed()}. Write each as {{"id": 1, "name": "cat"}}'
            )
        if self._repeated:
            yield f"ids or names of categories are there twice: {self._repeated.listed()}. Give each its own"
        if not self.names and not self._malformed:
            yield "has no categories. List the classes in 'categories'"


@dataclass
class Images:
    """The images of a file.

    Attributes:
        sizes: (width, height) in pixels by image id.
        file_names: of every well-formed image, in the order of the file.
        names: file name by image id.
        num_frames: images that belong to a video, and have their place there.
    """

    sizes: dict[int | str, tuple[float, float]] = field(default_factory=dict)
    file_names: list[str] = field(default_factory=list)
    names: dict[int | str, str] = field(default_factory=dict)
    num_frames: int = 0
    _malformed: Finding = field(default_factory=Finding)
    _repeated: Finding = field(default_factory=Finding)

    @classmethod
    def read(cls, entries: list[Any]) -> Images:
        """Read the `images` list."""
        found = cls()
        for entry in entries:
            found._read_one(entry)
        return found

    @property
    def count(self) -> int:
        """How many different images there are."""
        return len(self.sizes)

    def _read_one(self, entry: Any) -> None:
        fields = entry if isinstance(entry, dict) else {}
        number, name = fields.get("id"), fields.get("file_name")
        width, height = fields.get("width"), fields.get("height")
        if not (_is_id(number) and isinstance(name, str) and name and _is_size(width) and _is_size(height)):
            self._malformed.add(show(entry))
        elif number in self.sizes:
            self._repeated.add(f"{show(number)} ({show(name)})")
        else:
            self.sizes[number] = (width, height)
            self.names[number] = name
            self.file_names.append(name)
            self.num_frames += _is_id(fields.get("video_id")) and isinstance(fields.get("frame_id"), int)

    def size_range(self) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """Return the smallest and the largest width and height."""
        if not self.sizes:
            return None
        widths, heights = zip(*self.sizes.values(), strict=True)
        return (min(widths), min(heights)), (max(widths), max(heights))

    def problems(self) -> Iterator[str]:
        """Say what is wrong with the list."""
        if self._malformed:
            yield (
                f"{plural(self._malformed.count, 'image')} without an 'id', a 'file_name', and a 'width' and 'height' "
                f"over 0: {self._malformed.listed()}. Write these four for every image"
            )
        if self._repeated:
            yield f"image ids are there twice: {self._repeated.listed()}. Give each image its own id"
        if not self.sizes and not self._malformed:
            yield "has no images. List them in 'images'"


@dataclass
class Annotations:
    """The annotations of a file.

    Attributes:
        num_boxes: boxes to train on.
        images_with_boxes: ids of the images that have one.
        num_polygons: boxes whose object is outlined too.
        num_rles: boxes whose object has its pixels, as run lengths.
    """

    num_boxes: int = 0
    num_polygons: int = 0
    num_rles: int = 0
    images_with_boxes: set[int | str] = field(default_factory=set)
    _ids: set[int | str] = field(default_factory=set)
    _malformed: Finding = field(default_factory=Finding)
    _repeated: Finding = field(default_factory=Finding)
    _no_area: Finding = field(default_factory=Finding)
    _no_category: Finding = field(default_factory=Finding)
    _no_image: Finding = field(default_factory=Finding)
    _sizeless: Finding = field(default_factory=Finding)
    _outside: Finding = field(default_factory=Finding)

    @classmethod
    def read(cls, entries: list[Any], images: Images, categories: Categories) -> Annotations:
        """Read the `annotations` list; images and categories say what it may refer to."""
        found = cls()
        for entry in entries:
            found._read_one(entry, images, categories)
        return found

    @property
    def num_bad_boxes(self) -> int:
        """Boxes outside their image or of no size."""
        return self._sizeless.count + self._outside.count

    def _read_one(self, entry: Any, images: Images, categories: Categories) -> None:
        fields = entry if isinstance(entry, dict) else {}
        number, image, category, box = (fields.get(name) for name in ("id", "image_id", "category_id", "bbox"))
        boxed = isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))
        if not (_is_id(number) and _is_id(image) and _is_id(category) and boxed):
            self._malformed.add(show(entry))
        elif number in self._ids:
            self._repeated.add(show(number))
        elif category not in categories.names:
            self._no_category.add(f"annotation {show(number)}, category_id {show(category)}")
        elif not _is_number(fields.get("area")):
            self._no_area.add(show(number))
        elif image not in images.sizes:
            self._no_image.add(f"annotation {show(number)}, image_id {show(image)}")
        elif not fields.get("ignore"):
            self._read_box(fields, images)
        if _is_id(number):
            self._ids.add(number)

    def _read_box(self, fields: dict[str, Any], images: Images) -> None:
        """Sort a box as CocoDataset does: dropped when it has no size, or no pixel in common with its image."""
        image = fields["image_id"]
        left, top, width, height = fields["bbox"]
        image_width, image_height = images.sizes[image]
        example = f"{show(images.names[image])} annotation {show(fields['id'])} box {show(fields['bbox'])}"
        if width < 1 or height < 1 or fields["area"] <= 0:
            self._sizeless.add(example)
        elif min(left + width, image_width) <= max(left, 0) or min(top + height, image_height) <= max(top, 0):
            self._outside.add(example)
        elif not fields.get("iscrowd"):
            self.num_boxes += 1
            self.images_with_boxes.add(image)
            self.num_polygons += bool(fields.get("segmentation")) and isinstance(fields["segmentation"], list)
            self.num_rles += isinstance(fields.get("segmentation"), dict)

    @property
    def masks(self) -> str:
        """How objects are outlined: `polygons`; `rle` where any has run lengths; `none` where one has neither."""
        if self.num_boxes == 0 or self.num_polygons + self.num_rles < self.num_boxes:
            return "none"
        return "rle" if self.num_rles else "polygons"

    def problems(self) -> Iterator[str]:
        """Say what CocoDataset or the evaluation could not take."""
        if self._malformed:
            yield (
                f"{plural(self._malformed.count, 'annotation')} without 'id', 'image_id', 'category_id' and a 'bbox' "
                f"of four finite numbers [x, y, width, height]: {self._malformed.listed()}. Every annotation needs them"
            )
        if self._repeated:
            yield f"annotation ids are there twice: {self._repeated.listed()}. Give each annotation its own"
        if self._no_area:
            yield (
                f"{plural(self._no_area.count, 'annotation')} without the number 'area' "
                f"(ids {self._no_area.listed()}). Write the area of the mask in pixels, or width * height of the box"
            )
        if self._no_category:
            yield (
                f"{plural(self._no_category.count, 'annotation')} of a category that 'categories' does not list: "
                f"{self._no_category.listed()}. Add the category, or remove the annotations"
            )

    def dropped(self) -> Iterator[str]:
        """Say what training and evaluation leave out."""
        if self._sizeless:
            yield f"{plural(self._sizeless.count, 'box')} of zero size or under 1 pixel ({self._sizeless.listed()})"
        if self._outside:
            yield f"{plural(self._outside.count, 'box')} outside the image ({self._outside.listed()})"
        if self._no_image:
            count = plural(self._no_image.count, "annotation")
            yield f"{count} of an image that 'images' does not list ({self._no_image.listed()})"
