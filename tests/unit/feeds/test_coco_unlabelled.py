"""COCO files of images without annotations are looked at before a training begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataConfig, DataKind
from vision_research.datasets.facts import DatasetFacts
from vision_research.feeds.unlabelled.feed import Unlabelled
from vision_research.registry import make_embedded
from vision_research.tasks.boxes.task import Boxes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedded("digits_semi", tmp_path_factory.mktemp("data") / "semi", train=6, val=1, test=1)


def look(root: Path, **typed: str | None) -> DatasetFacts:
    words: dict[str, Any] = {"unlabelled_ann": "annotations/unlabelled.json", **typed}
    files = {"train_ann": "annotations/train.json", "val_ann": "annotations/val.json", "img_prefix": "images/"}
    data = DataConfig(kind=DataKind.digits_semi, root=str(root), **files, **words)
    return Boxes().look(data, ("train", "val", "test"), Unlabelled().splits(data))


def test_unlabelled_images_are_counted_and_belong_to_the_digest(made: Path) -> None:
    facts = look(made)
    assert (facts.num_train, facts.counts["unlabelled"], len(facts.classes)) == (2, 4, 10)
    alone = look(made, unlabelled_ann=None)
    assert ("unlabelled" in alone.counts, alone.digest != facts.digest) == (False, True)


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
