from __future__ import annotations

import itertools
import re

import pytest
from mlflow.utils import validation

from vision_research.tracking.names import MAX_KEY_LENGTH, metric_name, name_below

AWKWARD = [
    "loss_cls",
    "AR@100",
    "AR_x0040_100",
    "a//b",
    "a/",
    "/a",
    ".",
    "..",
    "a/../b",
    "50%",
    "50_x0025_",
    "_x005F_x0025_",
    "\u7d05\u8840\u7403",
    "caf\u00e9",
    "cafe",
    "\U0001f600",
    "tab\there",
    "",
    "x" * 300,
    "x" * 299 + "y",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_mlflow_accepts_every_name(text: str) -> None:
    validation._validate_metric_name(metric_name(text))  # type: ignore[no-untyped-call]
    validation._validate_metric_name(name_below("val/AP", text))  # type: ignore[no-untyped-call]


def test_different_names_never_become_one() -> None:
    for left, right in itertools.combinations(AWKWARD, 2):
        assert metric_name(left) != metric_name(right)
        assert name_below("val/AP", left) != name_below("val/AP", right)


@pytest.mark.parametrize("text", [text for text in AWKWARD if len(text) < 200])
def test_the_original_can_be_read_back(text: str) -> None:
    def unescape(match: re.Match[str]) -> str:
        return "" if match[1] == "0000" else chr(int(match[1], 16))

    assert re.sub("_x([0-9A-F]{4,6})_", unescape, metric_name(text)) == text


def test_ordinary_names_stay_as_they_are() -> None:
    assert metric_name("val/bbox_mAP_50") == "val/bbox_mAP_50"
    assert metric_name("val/AP/traffic light") == "val/AP/traffic light"


def test_a_class_is_one_level_of_the_name() -> None:
    assert name_below("val/AP", "person/rider") == "val/AP/person_x002F_rider"


def test_the_length_limit_is_mlflows() -> None:
    assert MAX_KEY_LENGTH == validation.MAX_ENTITY_KEY_LENGTH
    assert len(metric_name("x" * 300)) == MAX_KEY_LENGTH
