"""A credential in a config is refused, and not repeated."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vision_research.checks.validation import validate
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.registry import specify

# The examples of AWS' own documentation.
ACCESS_KEY = "AKIAIOSFODNN7" + "EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"


@pytest.mark.slow
@pytest.mark.parametrize(
    "word",
    [
        f"storage.profile={ACCESS_KEY}",
        f"+tracking.tags.note='{SECRET}'",
        "+tracking.tags.aws_secret_access_key=short",
        "storage.endpoint_url=https://key:word@s3.example.org",
        "data.root='https://b.s3.amazonaws.com/k?X-Amz-Signature=12ab'",
    ],
)
def test_a_credential_is_refused_and_not_repeated(word: str, typed: Callable[..., TrainConfig]) -> None:
    key, _, value = word.lstrip("+").partition("=")
    with pytest.raises(ConfigError) as caught:
        validate(specify(typed(word)))

    assert f"{key}: its value looks like a credential" in str(caught.value)
    assert value.strip("'") not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "3f786850e387550fdab836ed7e6dc881de23001b",
        "experiments/visionteam/bloodcells2026/tr",
        "s3://bucket/Projects/Team4/BloodCells/Images/Train2026",
        "https://host.example.org/a/very/long/Path/With/CamelCase/And2Numbers",
    ],
)
def test_words_hashes_and_paths_are_no_credentials(value: str, typed: Callable[..., TrainConfig]) -> None:
    validate(specify(typed(f"+tracking.tags.note='{value}'")))


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
