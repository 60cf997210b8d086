"""A credential in a config is refused, and not repeated."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vision_research.checks.validation import validate
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.config.secrets import refuse_credentials, secret_problems
from vision_research.registry import specify

# The examples of AWS' own documentation.
ACCESS_KEY = "AKIAIOSFODNN7" + "EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    "word",
    [
        f"storage.profile={ACCESS_KEY}",
        f"+tracking.tags.note='{SECRET}'",
        "+tracking.tags.aws_secret_access_key=short",
        "storage.endpoint_url=https://key:word@s3.example.org",
        "data.root='https://b.s3.amazonaws.com/k?X-Amz-Signature=12ab'",
        "tracking.uri=http://ada:word@mlflow:5000",
        "tracking.uri=postgresql://ada:word@db/mlflow",
        "model.weights=https://ada:word@host/x.pth",
        "model.weights='https://host/x.pth?token=12ab'",
        "model.weights='https://host/x.pth?sv=1&sig=12ab'",
        "+tracking.tags.token=short",
        "+tracking.tags.hf_token=short",
        "schedule.lr=0.1,0.2 +tracking.tags.note=https://ada:word@host",
    ],
)
@pytest.mark.fault("a password or token is typed", "refused before anything is written; not repeated")
def test_a_credential_is_refused_and_not_repeated(word: str) -> None:
    words = word.split(" ")
    key, _, value = words[-1].lstrip("+").partition("=")
    with pytest.raises(ConfigError) as caught:
        refuse_credentials(words)

    assert f"{key}: its value looks like a credential" in str(caught.value)
    assert value.strip("'") not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "3f786850e387550fdab836ed7e6dc881de23001b",
        "experiments/visionteam/bloodcells2026/tr",
        "s3://bucket/Projects/Team4/BloodCells/Images/Train2026",
        "https://host.example.org/a?version=3&page=2",
        "https://host.example.org/a/very/long/Path/With/CamelCase/And2Numbers",
    ],
)
def test_words_hashes_and_paths_are_no_credentials(value: str) -> None:
    refuse_credentials([f"+tracking.tags.note='{value}'"])
    assert not list(secret_problems({"tracking": {"tags": {"note": value}}}))


def test_what_a_file_or_the_environment_adds_is_looked_at_too() -> None:
    (problem,) = secret_problems({"model": {"weights": "https://ada:word@host/x.pth"}, "seed": 1})
    assert problem.startswith("model.weights: its value looks like a credential") and "word" not in problem


def test_what_storage_cannot_be_is_said_in_one_go(typed: Callable[..., TrainConfig]) -> None:
    words = ("storage=s3", "storage.give_up_after_s=0", "storage.endpoint_url=host:9000", "data.root=s3://bucket/x")
    with pytest.raises(ConfigError) as caught:
        validate(specify(typed(*words, "storage.prefetch=-1")))

    assert [problem.partition("=")[0] for problem in caught.value.problems] == [
        "storage.prefetch",
        "storage.give_up_after_s",
        "storage.endpoint_url",
        "data.root",
    ]
