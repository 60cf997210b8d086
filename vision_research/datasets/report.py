"""What was found in an annotation file of any format, and what is wrong: how often, with a few examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

_MAX_EXAMPLES = 5
_MAX_SHOWN_CHARACTERS = 80

# Messages of boxes that training and evaluation leave out.
DROPPED_BOXES = {
    "sizeless": ("box", "{counted} of zero size or under 1 pixel ({listed})"),
    "outside": ("box", "{counted} outside the image ({listed})"),
}


@dataclass(frozen=True)
class AnnotationReport:
    """The content of an annotation file.

    Attributes:
        ann_file: the file.
        key: the key that names it, for example `data.train_ann`.
        categories: (id, name) in the order of the file, in which CocoDataset numbers its labels, whatever the ids are.
        num_images: images listed.
        num_boxes: boxes that can be trained on, without crowds and dropped boxes.
        image_names: `file_name` of every image, in the order of the file.
        masks: the form of the masks: `polygons`, `rle` or `none`.
        has_videos: whether every image belongs to a video and has a position in it.
        digest: SHA-256 of the content, hexadecimal; empty if it could not be read.
        problems: what stops a run.
        warnings: what does not stop a run: boxes that are dropped, annotations that belong to no image.
    """

    ann_file: Path
    key: str
    categories: tuple[tuple[int, str], ...] = ()
    num_images: int = 0
    num_boxes: int = 0
    image_names: tuple[str, ...] = ()
    masks: str = "none"
    has_videos: bool = False
    digest: str = ""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the categories, in label order."""
        return tuple(name for _, name in self.categories)

    def with_problems(self, problems: Iterable[str]) -> AnnotationReport:
        """Return the report with these problems added."""
        return replace(self, problems=(*self.problems, *problems))

    def finished(self, prefix: str, strict: bool) -> AnnotationReport:
        """Return the report with the file named in every text, when `warnings` holds nothing but what is dropped.

        Args:
            prefix: names the file.
            strict: add what is dropped to the problems; else warn of it.
        """
        problems, dropped = ([prefix + text for text in texts] for texts in (self.problems, self.warnings))
        if strict:
            problems += [f"{text}. Mend the file, or type data.strict=false to drop them" for text in dropped]
            return replace(self, problems=tuple(problems), warnings=())
        warnings = tuple(f"{text}. They are dropped; data.strict=true refuses them" for text in dropped)
        return replace(self, problems=tuple(problems), warnings=warnings)


@dataclass
class Finding:
    """All findings of one kind.

    Attributes:
        count: how many there are.
        examples: the first few, as texts.
    """

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        """Count one more, and keep it if it is among the first."""
        self.count += 1
        if len(self.examples) < _MAX_EXAMPLES:
            self.examples.append(example)

    def listed(self) -> str:
        """Return the examples, and `...` if there are more: `a.jpg, b.jpg, ...`."""
        return ", ".join([*self.examples, *(["..."] if self.count > len(self.examples) else [])])

    def __bool__(self) -> bool:
        return self.count > 0


class Findings:
    """Findings by kind."""

    def __init__(self) -> None:
        self._found: dict[str, Finding] = {}

    def add(self, kind: str, example: str) -> None:
        """Add a finding.

        Args:
            kind: key of its message.
            example: text that shows it.
        """
        self._found.setdefault(kind, Finding()).add(example)

    def texts(self, messages: Mapping[str, tuple[str, str]]) -> list[str]:
        """Return a text for each kind that was found, in the order of the messages.

        A message is a noun, and a text in which `{counted}` is the count with this noun, `{count}` the bare count and
        `{listed}` the examples.
        """
        return [
            text.format(counted=plural(found.count, noun), count=found.count, listed=found.listed())
            for kind, (noun, text) in messages.items()
            if (found := self._found.get(kind))
        ]


def find(examples: Iterable[str]) -> Finding:
    """Collect texts into one finding."""
    finding = Finding()
    for example in examples:
        finding.add(example)
    return finding


def show(value: Any) -> str:
    """Return any value of a file as a text for a message: short, on one line, and printable on every terminal."""
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\n", " ")
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else text[: _MAX_SHOWN_CHARACTERS - 3] + "..."


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: `1 box`, `2 boxes`, `3 images`.

    Args:
        count: the count.
        noun: the noun in the singular.
    """
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}{'es' if noun.endswith(('x', 's')) else 's'}"
