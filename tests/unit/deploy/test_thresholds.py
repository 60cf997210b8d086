"""The score threshold of each class: the file, the order, and what is given out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vision_research.deploy.build.modules import ClassThresholds
from vision_research.deploy.errors import ExportError
from vision_research.deploy.thresholds import read_thresholds, thresholds_of


def test_a_file_is_read_and_brought_into_the_order_of_the_labels(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text(json.dumps({"classes": ["cat", "dog"], "thresholds": {"dog": 0.25, "cat": 0.5}}))

    named = read_thresholds(path)

    assert named == (("cat", 0.5), ("dog", 0.25))
    assert thresholds_of(named, ["dog", "cat"]) == (0.25, 0.5)


def test_other_classes_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="are for the classes cat, dog, but the detector's are cat, cow"):
        thresholds_of((("cat", 0.5), ("dog", 0.25)), ["cat", "cow"])
    with pytest.raises(ExportError, match="absent.json cannot be read: No such file"):
        read_thresholds(tmp_path / "absent.json")
    for content in ("{", "[]", '{"classes": ["cat"], "thresholds": {}}'):
        (tmp_path / "odd.json").write_text(content)
        with pytest.raises(ExportError, match="odd.json holds no thresholds"):
            read_thresholds(tmp_path / "odd.json")


def test_each_class_is_given_out_from_its_lowest_score_on() -> None:
    module = torch.jit.script(ClassThresholds((0.5, 0.25)))

    chosen = module(torch.tensor([0.5, 0.49, 0.3, 0.2]), torch.tensor([0, 0, 1, 1]))

    assert chosen.tolist() == [0, 2]
