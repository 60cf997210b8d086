"""Fixtures that several test packages share."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import boto3
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from s3_server import CREDENTIALS, S3Server
from workplace import Workplace

from vision_research.config.compose import conf_dir, register
from vision_research.config.schema import TrainConfig
from vision_research.registry import make_embedded, monitor_of
from vision_research.storage.s3.settings import S3Settings, set_default_settings

pytest_plugins = ["fault_table"]
_numbers = count()
REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Part the tests among the processes of pytest-xdist (`--dist=loadgroup --no-loadscope-reorder`).

    The tests of a file stay together, since they share what its fixtures make, and so do all that share the finished
    run. Groups with many slow tests begin, so that all processes end at about the same time.
    """
    if not hasattr(config, "workerinput"):
        return
    groups = {item: "finished" if "finished" in item.fixturenames else item.path.name for item in items}
    slow = Counter(groups[item] for item in items if item.get_closest_marker("slow"))
    first = {group: place for place, group in enumerate(dict.fromkeys(groups.values()))}
    items.sort(key=lambda item: (-slow[groups[item]], first[groups[item]]))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item]))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse tests whose groups have no effect: what they share would be made once a process.

    Then exempt the half million objects of the loaded libraries from garbage collection, which makes composing a fifth
    faster.
    """
    if hasattr(session.config, "workerinput") and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("pytest-xdist does not see the groups: install the pytest of constraints.txt")
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that is marked with packages (`@pytest.mark.extras("transformers")`) where one of them is absent."""
    needed = [package for mark in item.iter_markers("extras") for package in mark.args]
    if absent := [package for package in needed if find_spec(package) is None]:
        pytest.skip(f"needs {' and '.join(absent)}, as `nox -s tests_extras` has them")


@pytest.fixture
def typed() -> Callable[..., TrainConfig]:
    """Compose overrides into the typed tree, as the train command does."""
    register(monitor_of)

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
    make_embedded("digits", folder, train=12, val=4, test=2)
    return folder


@pytest.fixture
def in_conf() -> Iterator[None]:
    """Hydra in the folder of the config groups, for what composes by itself."""
    register(monitor_of)
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


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded data set, made once for all commands."""
    folder = tmp_path_factory.mktemp("data") / "digits"
    make_embedded("digits", folder)
    return folder


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Workplace:
    """An empty folder that holds nothing but the data."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "data").mkdir()
    (folder / "data" / "digits").symlink_to(digits)
    return Workplace(folder)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], float], None]:
    """Wait until something holds, and fail when it does not."""

    def wait(condition: Callable[[], bool], timeout_s: float = 180) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, "it did not come true in time"
            time.sleep(0.2)

    return wait
