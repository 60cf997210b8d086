"""Categories of two annotation files are compared by their ids and names."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_research.datasets.coco.inspection import compare_categories
from vision_research.datasets.report import AnnotationReport


def report_of(key: str, *categories: tuple[int, str]) -> AnnotationReport:
    return AnnotationReport(Path(f"/data/{key}.json"), f"data.{key}_ann", categories=categories)


@pytest.mark.parametrize(
    ("val", "expected"),
    [
        ([(1, "cat")], "data.val_ann lacks 'dog'"),
        ([(1, "cat"), (2, "dog"), (3, "owl")], "data.train_ann lacks 'owl'"),
        ([(1, "cat"), (2, "Dog")], "data.val_ann lacks 'dog'; data.train_ann lacks 'Dog'"),
        ([(2, "dog"), (1, "cat")], "their order or ids differ: 1='cat' against 2='dog', 2='dog' against 1='cat'"),
        ([(0, "cat"), (1, "dog")], "their order or ids differ: 1='cat' against 0='cat', 2='dog' against 1='dog'"),
    ],
)
def test_categories_that_differ_are_shown(val: list[tuple[int, str]], expected: str) -> None:
    train = report_of("train", (1, "cat"), (2, "dog"))

    assert compare_categories(train, report_of("val", *val)) == [
        f"data.val_ann=/data/val.json: its categories are not those of data.train_ann=/data/train.json ({expected}). "
        "Write the same 'categories' list into both files"
    ]
