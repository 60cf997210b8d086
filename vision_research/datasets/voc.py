"""Looks at a Pascal VOC folder before anything is trained on it: `ImageSets/Main/*.txt`, `Annotations/*.xml`, images.

Says in words what MMDetection's XMLDataset would stumble over (mmdet/datasets/xml_style.py), and never raises for what
a file holds. Standard library only, so that the commands stay quick.
"""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from vision_research.datasets.coco_json import AnnotationReport
from vision_research.datasets.findings import Finding, find, plural, show
from vision_research.datasets.image_files import as_typed, missing_files, missing_images_problem, missing_path_problem

# XMLDataset appends it to the names in the list, and knows no other.
_IMAGE_SUFFIX = ".jpg"


@dataclass(frozen=True)
class _VocObject:
    """One `object` of an XML file.

    Attributes:
        name: its class.
        box: xyxy, 0-based pixels, as XMLDataset reads it.
        difficult: left out of training and of the score.
    """

    name: str
    box: tuple[int, int, int, int]
    difficult: bool


@dataclass
class _Entries:
    """What the XML files of one list hold."""

    classes: set[str] = field(default_factory=set)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    num_boxes: int = 0
    num_empty_images: int = 0
    malformed: Finding = field(default_factory=Finding)
    sizeless: Finding = field(default_factory=Finding)
    outside: Finding = field(default_factory=Finding)

    def read(self, file: Path) -> bytes:
        """Read one XML file; return its content for the digest."""
        try:
            content = file.read_bytes()
            tree = ElementTree.fromstring(content)
            size = _read_size(tree)
            objects = [_read_object(node) for node in tree.findall("object")]
        except (ElementTree.ParseError, ValueError, OverflowError, OSError) as error:
            self.malformed.add(f"{file.name} ({show(str(error))})")
            return b""
        if size is not None:
            self.sizes.append(size)
        boxes_before = self.num_boxes
        for entry in objects:
            self._sort(entry, size, file.name)
        self.num_empty_images += self.num_boxes == boxes_before
        return content

    def _sort(self, entry: _VocObject, size: tuple[int, int] | None, file_name: str) -> None:
        left, top, right, bottom = entry.box
        self.classes.add(entry.name)
        example = f"{file_name} {show(entry.name)} box {list(entry.box)}"
        if right - left < 1 or bottom - top < 1:
            self.sizeless.add(example)
        elif right <= 0 or bottom <= 0 or (size is not None and (left >= size[0] or top >= size[1])):
            self.outside.add(example)
        elif not entry.difficult:
            self.num_boxes += 1

    def dropped(self) -> Iterator[str]:
        """Say what training and evaluation leave out."""
        if self.sizeless:
            yield f"{plural(self.sizeless.count, 'box')} of zero size or under 1 pixel ({self.sizeless.listed()})"
        if self.outside:
            yield f"{plural(self.outside.count, 'box')} outside the image ({self.outside.listed()})"


def inspect_voc(
    ann_file: Path,
    root: Path,
    img_root: Path,
    *,
    key: str = "data.train_ann",
    prefix_key: str = "data.img_prefix",
    strict: bool = False,
) -> AnnotationReport:
    """Read a list of images and the XML file of each.

    Args:
        ann_file: the list, one image name without suffix a line (`ImageSets/Main/train.txt`).
        root: the VOC folder; the XML files are in its `Annotations`.
        img_root: folder of the images, JPEG.
        key: what to call the list in texts.
        prefix_key: what to call the image folder in texts.
        strict: make boxes that would be dropped a problem.

    Returns:
        Counts, classes (sorted by name), and every problem found.
    """
    prefix = f"{key}={as_typed(ann_file, root)}: "
    if not ann_file.is_file():
        return AnnotationReport(ann_file, key, problems=(missing_path_problem(key, ann_file, "file", root),))
    try:
        content = ann_file.read_bytes()
        lines = content.decode("utf-8").splitlines()
    except (OSError, ValueError) as error:
        return AnnotationReport(ann_file, key, problems=(f"{prefix}is no text file ({error}). Type {key}=<list>.txt",))
    if problem := _wrong_list(lines):
        return AnnotationReport(ann_file, key, problems=(prefix + problem,))
    report = _inspect_names(lines, AnnotationReport(ann_file, key), content, root, prefix, strict)
    missing = missing_images_problem(prefix_key, img_root, report.image_names, ann_file, root)
    return replace(report, problems=(*report.problems, *missing))


def _wrong_list(lines: list[str]) -> str:
    if not lines:
        return "has no images. It lists one image name without suffix a line"
    odd = find(
        f"line {number} {show(line)!r}" for number, line in enumerate(lines, 1) if line != line.strip() or not line
    )
    if odd:
        return f"lines that are empty or begin or end with a blank: {odd.listed()}. Remove them"
    if all(len(line.split()) == 2 and line.split()[1] in {"1", "-1", "0"} for line in lines):
        return "is the list of one class (each line ends in 1 or -1). Type the list of the split, for example train.txt"
    return ""


def _inspect_names(
    names: list[str], report: AnnotationReport, content: bytes, root: Path, prefix: str, strict: bool
) -> AnnotationReport:
    entries, digest = _Entries(), hashlib.sha256(content)
    missing = set(missing_files(root / "Annotations", [f"{name}.xml" for name in names]))
    for name in names:
        if f"{name}.xml" not in missing:
            digest.update(entries.read(root / "Annotations" / f"{name}.xml"))
    dropped = [prefix + text for text in entries.dropped()]
    problems = _file_problems(entries, sorted(missing), root, prefix)
    problems += (
        [f"{text}. Mend the files, or type data.strict=false to drop them" for text in dropped] if strict else []
    )
    widths, heights = zip(*entries.sizes, strict=True) if entries.sizes else ((), ())
    return replace(
        report,
        categories=tuple(enumerate(sorted(entries.classes), start=1)),
        num_images=len(names),
        num_boxes=entries.num_boxes,
        num_bad_boxes=entries.sizeless.count + entries.outside.count,
        num_empty_images=entries.num_empty_images,
        image_names=tuple(name + _IMAGE_SUFFIX for name in names),
        size_range=((min(widths), min(heights)), (max(widths), max(heights))) if entries.sizes else None,
        digest=digest.hexdigest(),
        problems=tuple(problems),
        warnings=()
        if strict
        else tuple(f"{text}. They are dropped; data.strict=true refuses them" for text in dropped),
    )


def _file_problems(entries: _Entries, missing: list[str], root: Path, prefix: str) -> list[str]:
    problems = []
    if missing:
        problems.append(
            f"{prefix}{plural(len(missing), 'annotation file')} not in {root / 'Annotations'}: "
            f"{find(map(show, missing)).listed()}. Type data.root=<the folder that holds Annotations and ImageSets>"
        )
    if entries.malformed:
        problems.append(
            f"{prefix}{plural(entries.malformed.count, 'annotation file')} not Pascal VOC: "
            f"{entries.malformed.listed()}. Each object needs a name and a bndbox of xmin, ymin, xmax, ymax"
        )
    return problems


def _read_size(tree: ElementTree.Element) -> tuple[int, int] | None:
    size = tree.find("size")
    if size is None:
        return None
    width, height = int(_text(size, "width")), int(_text(size, "height"))
    if width < 1 or height < 1:
        raise ValueError(f"size {width} x {height}")
    return width, height


def _read_object(node: ElementTree.Element) -> _VocObject:
    box = node.find("bndbox")
    if box is None:
        raise ValueError("an object without bndbox")
    # Pascal VOC counts pixels from 1.
    corners = [int(float(_text(box, side))) - 1 for side in ("xmin", "ymin", "xmax", "ymax")]
    difficult = node.find("difficult") is not None and int(_text(node, "difficult")) != 0
    return _VocObject(_text(node, "name"), (corners[0], corners[1], corners[2], corners[3]), difficult)


def _text(node: ElementTree.Element, name: str) -> str:
    text = node.findtext(name)
    if not text:
        raise ValueError(f"{node.tag} without {name}")
    return text
