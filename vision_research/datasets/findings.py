"""Collects what is wrong with a data set: how often, with a few examples, as one message each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_EXAMPLES = 5
_MAX_SHOWN_CHARACTERS = 80


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
        if len(self.examples) < MAX_EXAMPLES:
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

        Args:
            messages: by kind, a noun, and a text in which `{counted}` is the count with this noun, `{count}` the bare
                count and `{listed}` the examples.
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
