from __future__ import annotations

import pytest

from vision_research.tracking.params import flat_params, run_tags


def test_values_are_written_as_a_person_would_type_them() -> None:
    settings = {
        "model": "rtmdet_tiny",
        "lr": 0.004,
        "batch_size": 8,
        "ema": True,
        "weights": None,
        "image_size": (640, 480),
    }
    assert flat_params(settings) == {
        "model": "rtmdet_tiny",
        "lr": "0.004",
        "batch_size": "8",
        "ema": "true",
        "weights": "none",
        "image_size": "[640,480]",
    }


def test_nested_settings_get_dotted_keys() -> None:
    assert flat_params({"schedule": {"lr": 0.1, "warmup": {"iters": 500}}}) == {
        "schedule.lr": "0.1",
        "schedule.warmup.iters": "500",
    }


def test_a_list_that_mixes_mappings_and_texts_is_one_param() -> None:
    assert flat_params({"hooks": [{"type": "EMA"}, "timer"]}) == {"hooks": '[{"type":"EMA"},"timer"]'}


def test_tags_say_where_the_run_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    git = {"git.commit": "a" * 40, "git.dirty": "true"}
    tags = run_tags(["/usr/bin/python", "-m", "package.train", "model=x", "work_dir=a b"], git)
    assert tags["mlflow.user"] == "ada"
    assert tags["mlflow.source.name"] == "package.train"
    assert tags["git.commit"] == "a" * 40
    assert tags["git.dirty"] == "true"
    assert tags["command"] == "python -m package.train model=x 'work_dir=a b'"
    assert tags["version.torch"][0].isdigit()
    assert all(isinstance(value, str) for value in tags.values())


def test_outside_of_git_there_are_no_git_tags() -> None:
    assert not [key for key in run_tags(["train"], {}) if "git" in key]
