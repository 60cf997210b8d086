"""Checks a Pascal VOC folder before a training: `ImageSets/Main/*.txt`, `Annotations/*.xml` and the images.

It describes what MMDetection's XMLDataset (mmdet/datasets/xml_style.py) does not accept, and never raises because of
the content of a file. It uses the standard library only, so that the commands start quickly.
"""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, replace
from pathlib import Path

from vision_research.datasets.image_files import missing_files
from vision_research.datasets.report import DROPPED_BOXES, AnnotationReport, Findings, find, plural, show

# XMLDataset appends it to the names in the list, and supports no other.
_IMAGE_SUFFIX = ".jpg"

_PROBLEMS = {
    "malformed": (
        "annotation file",
        "{counted} not Pascal VOC: {listed}. Each object needs a name and a bndbox of xmin, ymin, xmax, ymax",
    ),
}


@dataclass(frozen=True)
class _VocObject:
    """An `object` of an XML file; the box is xyxy, 0-based pixels, and a difficult one is not trained on or scored."""

    name: str
    box: tuple[int, int, int, int]
    difficult: bool


class _Entries:
    """The content of the XML files of a list, and what is wrong with them."""

    def __init__(self) -> None:
        self.classes: set[str] = set()
        self.num_boxes = 0
        self.findings = Findings()

    def read(self, file: Path) -> bytes:
        """Read an XML file; return its content for the digest."""
        try:
            content = file.read_bytes()
            tree = ElementTree.fromstring(content)
            size = _read_size(tree)
            objects = [_read_object(node) for node in tree.findall("object")]
        except (ElementTree.ParseError, ValueError, OverflowError, OSError) as error:
            self.findings.add("malformed", f"{file.name} ({show(str(error))})")
            return b""
        for entry in objects:
            self._read_box(entry, size, file.name)
        return content

    def _read_box(self, entry: _VocObject, size: tuple[int, int] | None, file_name: str) -> None:
        left, top, right, bottom = entry.box
        self.classes.add(entry.name)
        example = f"{file_name} {show(entry.name)} box {list(entry.box)}"
        if right - left < 1 or bottom - top < 1:
            self.findings.add("sizeless", example)
        elif right <= 0 or bottom <= 0 or (size is not None and (left >= size[0] or top >= size[1])):
            self.findings.add("outside", example)
        elif not entry.difficult:
            self.num_boxes += 1


def read_voc(report: AnnotationReport, root: Path) -> AnnotationReport:
    """Read a list of images, one image name without suffix a line (`ImageSets/Main/train.txt`), and the XML of each.

    Args:
        report: an empty report of the list.
        root: the VOC folder; the XML files are in its `Annotations`.
    """
    try:
        content = report.ann_file.read_bytes()
        lines = content.decode("utf-8").splitlines()
    except (OSError, ValueError) as error:
        return report.with_problems([f"is no text file ({error}). Type {report.key}=<list>.txt"])
    if problem := _wrong_list(lines):
        return report.with_problems([problem])
    return _read_names(lines, report, content, root)


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


def _read_names(names: list[str], report: AnnotationReport, content: bytes, root: Path) -> AnnotationReport:
    entries, digest, folder = _Entries(), hashlib.sha256(content), root / "Annotations"
    missing = set(missing_files(folder, [f"{name}.xml" for name in names]))
    for name in names:
        if f"{name}.xml" not in missing:
            digest.update(entries.read(folder / f"{name}.xml"))
    problems = entries.findings.texts(_PROBLEMS)
    if missing:
        problems.insert(
            0,
            f"{plural(len(missing), 'annotation file')} not in {folder}: {find(map(show, sorted(missing))).listed()}. "
            "Type data.root=<the folder that holds Annotations and ImageSets>",
        )
    return replace(
        report,
        categories=tuple(enumerate(sorted(entries.classes), start=1)),
        num_images=len(names),
        num_boxes=entries.num_boxes,
        image_names=tuple(name + _IMAGE_SUFFIX for name in names),
        digest=digest.hexdigest(),
        problems=tuple(problems),
        warnings=tuple(entries.findings.texts(DROPPED_BOXES)),
    )


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
