"""What S3 refuses, in the words that a person reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_research.storage.s3.backend import S3Backend
from vision_research.storage.s3.errors import S3Error
from vision_research.storage.s3.settings import S3Settings


def refusal(backend: S3Backend, address: str) -> str:
    with pytest.raises(S3Error) as caught:
        backend.get(address)
    return str(caught.value)


def test_no_such_bucket(s3_settings: S3Settings) -> None:
    said = refusal(S3Backend(), "s3://nobucket/key")

    assert said.startswith(f"There is no bucket 'nobucket' at {s3_settings.endpoint_url}.")


def test_no_credentials(s3_settings: S3Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))

    # Other settings make another client; the one of other tests has found its credentials.
    said = refusal(S3Backend(read_timeout_s=13), "s3://data1/key")

    assert said.startswith("No credentials for s3://data1/key: ")
    assert "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or name a profile" in said


@pytest.mark.parametrize(("name", "timeout"), [("AWS_ACCESS_KEY_ID", 11), ("AWS_SECRET_ACCESS_KEY", 12)])
def test_wrong_credentials(name: str, timeout: float, s3_settings: S3Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "wrong")

    said = refusal(S3Backend(read_timeout_s=timeout), "s3://data1/key")

    assert "does not accept the credentials" in said
    assert "wrong" not in said


def test_a_region_that_is_none(s3_settings: S3Settings) -> None:
    said = refusal(S3Backend(region="eu_west"), "s3://data1/key")

    assert said.startswith("storage.region=eu_west: ")


def test_a_profile_that_does_not_exist(s3_settings: S3Settings) -> None:
    assert refusal(S3Backend(profile="nobody"), "s3://data1/key").startswith("storage.profile=nobody: ")
