"""Fixtures that several test packages share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import boto3
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from s3_server import CREDENTIALS, S3Server

from vision_research.config.compose import conf_dir, register
from vision_research.config.schema import TrainConfig
from vision_research.datasets.digits import make_digits
from vision_research.storage.s3.settings import S3Settings, set_default_settings

_numbers = count()
REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def typed() -> Callable[..., TrainConfig]:
    """Compose overrides into the typed tree, as the train command does."""
    register()

    def compose_typed(*overrides: str) -> TrainConfig:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            config = OmegaConf.to_object(compose("train", overrides=list(overrides)))
        assert isinstance(config, TrainConfig)
        return config

    return compose_typed


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded data set with twelve images to train on, four to validate and two to test."""
    folder = tmp_path_factory.mktemp("data") / "few_digits"
    make_digits(folder, num_train=12, num_val=4, num_test=2)
    return folder


@pytest.fixture
def in_conf() -> Iterator[None]:
    """Hydra in the folder of the config groups, for what composes by itself."""
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server, for all tests that do not break it."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def own_s3_server(tmp_path: Path) -> Iterator[S3Server]:
    """A real S3 server for one test, which may kill it."""
    with S3Server(tmp_path / "s3") as server:
        yield server


@pytest.fixture
def s3_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials of the servers in the environment, where boto3 looks first."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3_settings(s3_server: S3Server, s3_credentials: None) -> Iterator[S3Settings]:
    """How the test server is reached, for `s3://` in this process too."""
    settings = S3Settings(endpoint_url=s3_server.endpoint, give_up_after_s=5)
    set_default_settings(settings)
    yield settings
    set_default_settings(None)


@pytest.fixture
def bucket(s3_settings: S3Settings) -> Iterator[str]:
    """The address of a new, empty bucket; it is removed again, for the server has room for some sixty."""
    name = f"bucket-{next(_numbers)}"
    # Of its own: a test may take the credentials of the others away.
    client = boto3.client(
        "s3",
        endpoint_url=s3_settings.endpoint_url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket=name)
    yield f"s3://{name}"
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        if keys := [{"Key": entry["Key"]} for entry in page.get("Contents", [])]:
            client.delete_objects(Bucket=name, Delete={"Objects": keys})
    client.delete_bucket(Bucket=name)
