"""The digits for semi-supervised learning, and COCO files of images that nobody has annotated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vision_research.config.errors import ConfigError
from vision_research.datasets.digits import make_digits
from vision_research.datasets.digits_semi import make_digits_semi
from vision_research.datasets.facts import DatasetFacts, gather_facts

SMALL = {"num_train": 6, "num_val": 1, "num_test": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_digits_semi(tmp_path_factory.mktemp("data") / "semi", **SMALL)


def load(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def look(root: Path, **typed: str | None) -> DatasetFacts:
    words: dict[str, Any] = {"unlabelled_ann": "annotations/unlabelled.json", **typed}
    files = {"train_ann": "annotations/train.json", "val_ann": "annotations/val.json"}
    return gather_facts(kind="digits_semi", root=root, img_prefix="images/", **files, **words)


def test_a_quarter_is_labelled_and_the_rest_are_images_alone(made: Path, tmp_path: Path) -> None:
    plain = make_digits(tmp_path / "digits", **SMALL).root
    whole = load(plain / "annotations/train.json")
    labelled, unlabelled = load(made / "annotations/train.json"), load(made / "annotations/unlabelled.json")
    assert labelled["images"] + unlabelled["images"] == whole["images"]
    assert len(labelled["images"]) == 2, "a quarter of six, and one where that is none"
    assert labelled["annotations"] == [entry for entry in whole["annotations"] if entry["image_id"] <= 2]
    assert not {"annotations", "categories"} & unlabelled.keys()
    for file in (*plain.rglob("*.jpg"), plain / "annotations/val.json"):
        assert file.read_bytes() == (made / file.relative_to(plain)).read_bytes(), file
    again = make_digits_semi(tmp_path / "again", **SMALL)
    for file in made.rglob("*.*"):
        assert file.read_bytes() == (again / file.relative_to(made)).read_bytes(), file


def test_unlabelled_images_are_counted_and_belong_to_the_digest(made: Path) -> None:
    facts = look(made)
    assert (facts.num_train, facts.num_unlabelled, len(facts.classes)) == (2, 4, 10)
    alone = look(made, unlabelled_ann=None)
    assert (alone.num_unlabelled, alone.digest != facts.digest) == (0, True)


def test_images_that_are_scored_as_well_are_warned_of(made: Path) -> None:
    facts = look(made, unlabelled_ann="annotations/val.json")
    assert any("1 image also trained on" in warning for warning in facts.warnings)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"unlabelled_ann": "annotations/unlabeled.json"}, r"Type data\.unlabelled_ann=annotations/unlabelled\.json"),
        ({"unlabelled_prefix": "image/"}, r"data\.unlabelled_prefix=image: there is no folder .*=images"),
        ({"unlabelled_prefix": "annotations/"}, r"data\.unlabelled_prefix=annotations: 4 of 4 images"),
        ({"unlabelled_ann": "broken.json"}, r"data\.unlabelled_ann=broken\.json: is no JSON"),
        ({"unlabelled_ann": "list.json"}, r"data\.unlabelled_ann=list\.json: has no list 'images'"),
        ({"unlabelled_ann": "nameless.json"}, r"data\.unlabelled_ann=nameless\.json: 1 image without an 'id'"),
    ],
)
def test_what_is_no_such_file_is_refused_by_its_key(made: Path, typed: dict[str, str], said: str) -> None:
    (made / "broken.json").write_text("{")
    (made / "list.json").write_text('["a.jpg"]')
    (made / "nameless.json").write_text('{"images": [{"id": 1}]}')
    with pytest.raises(ConfigError, match=said):
        look(made, **typed)
