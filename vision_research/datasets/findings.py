"""Counts what is wrong with a data set and keeps a few examples, so that one message tells the whole of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

MAX_EXAMPLES = 5
_MAX_SHOWN_CHARACTERS = 80


@dataclass
class Finding:
    """Everything that is wrong in one way.

    Attributes:
        count: how many there are.
        examples: the first few, as texts.
    """

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        """Count one more, and keep it when it is among the first."""
        self.count += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(example)

    def listed(self) -> str:
        """Return the examples, and whether there are more: `a.jpg, b.jpg, ...`."""
        return ", ".join([*self.examples, *(["..."] if self.count > len(self.examples) else [])])

    def __bool__(self) -> bool:
        return self.count > 0


def find(examples: Iterable[str]) -> Finding:
    """Collect texts into one finding."""
    finding = Finding()
    for example in examples:
        finding.add(example)
    return finding


def show(value: Any) -> str:
    """Write any value of a file in a message: short, on one line, and printable on every terminal."""
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\n", " ")
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else text[: _MAX_SHOWN_CHARACTERS - 3] + "..."


def plural(count: int, noun: str) -> str:
    """Return `1 box`, `2 boxes`, `3 images`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}{'es' if noun.endswith(('x', 's')) else 's'}"
