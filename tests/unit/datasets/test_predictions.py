"""Predictions survive a kill at any moment, and are never half a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vision_research.config.errors import ConfigError
from vision_research.datasets.predictions import JOURNAL, RESULT, Predictions

MADE_BY = {"detector": "model.ts", "score_thr": 0.0}


def entry(name: str, *scores: float) -> dict[str, Any]:
    box = {"category_id": 1, "bbox": [1.0, 2.0, 3.0, 4.0], "area": 12.0, "iscrowd": 0}
    return {"file_name": name, "width": 9, "height": 8, "annotations": [{**box, "score": score} for score in scores]}


def test_the_journal_becomes_one_coco_file(tmp_path: Path) -> None:
    predictions = Predictions(tmp_path, MADE_BY)
    predictions.add([entry("a.png", 0.9, 0.8), {"file_name": "b.png", "problem": "it cannot be decoded"}])
    assert not (tmp_path / RESULT).exists()
    predictions.add([entry("c.png", 0.7)])

    problems = predictions.finish(["ring", "disc"])

    assert problems == [{"file_name": "b.png", "problem": "it cannot be decoded"}]
    document = json.loads((tmp_path / RESULT).read_text())
    assert [image["file_name"] for image in document["images"]] == ["a.png", "c.png"]
    assert [(item["id"], item["image_id"], item["score"]) for item in document["annotations"]] == [
        (1, 1, 0.9),
        (2, 1, 0.8),
        (3, 2, 0.7),
    ]
    assert document["categories"] == [{"id": 1, "name": "ring"}, {"id": 2, "name": "disc"}]
    assert document["not_decoded"] == problems
    assert [path.name for path in tmp_path.iterdir()] == [RESULT]


@pytest.mark.parametrize("torn", ["", '{"file_name":"c.p', '{"file_name":"c.png","width":9}'])
def test_a_kill_in_the_middle_of_a_line_costs_that_image_alone(tmp_path: Path, torn: str) -> None:
    Predictions(tmp_path, MADE_BY).add([entry("a.png"), entry("b.png")])
    with (tmp_path / JOURNAL).open("a") as file:
        file.write(torn)

    again = Predictions(tmp_path, MADE_BY)

    assert again.num_done == 2 and not again.is_complete
    again.add([entry("c.png")])
    again.finish(["ring"])
    document = json.loads((tmp_path / RESULT).read_text())
    assert [image["file_name"] for image in document["images"]] == ["a.png", "b.png", "c.png"]


def test_nothing_is_made_before_the_first_predictions(tmp_path: Path) -> None:
    predictions = Predictions(tmp_path / "out", MADE_BY)
    assert not (tmp_path / "out").exists() and predictions.num_done == 0
    predictions.add([entry("a.png")])
    assert Predictions(tmp_path / "out", MADE_BY).num_done == 1
    # Whoever put this there, it is no journal.
    (tmp_path / JOURNAL).write_text("torn")
    Predictions(tmp_path, MADE_BY).add([entry("a.png"), entry("b.png")])
    assert Predictions(tmp_path, MADE_BY).num_done == 2


def test_what_was_made_otherwise_is_not_gone_on_with(tmp_path: Path) -> None:
    Predictions(tmp_path, MADE_BY).add([entry("a.png")])
    with pytest.raises(ConfigError, match=r"it holds predictions with another detector. Type another out=FOLDER"):
        Predictions(tmp_path, {**MADE_BY, "detector": "other.ts"})
    Predictions(tmp_path, MADE_BY).finish(["ring"])
    assert Predictions(tmp_path, MADE_BY).is_complete
    with pytest.raises(ConfigError, match="another score_thr"):
        Predictions(tmp_path, {**MADE_BY, "score_thr": 0.5})
