from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from vision_research.config.errors import ConfigError
from vision_research.tracking.uri import artifact_location, how_to_open, resolve_uri, unreachable


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("typed", "resolved"),
    [
        ("sqlite:///mlflow.db", "sqlite:////home/ada/mlflow.db"),
        ("sqlite:///../team/runs.db", "sqlite:////home/team/runs.db"),
        ("sqlite:////srv/mlflow.db", "sqlite:////srv/mlflow.db"),
        ("sqlite:///mlflow.db?timeout=30", "sqlite:////home/ada/mlflow.db?timeout=30"),
        ("http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
        ("https://mlflow.team.org/base", "https://mlflow.team.org/base"),
        ("postgresql://a@db/mlflow", "postgresql://a@db/mlflow"),
        ("mysql+pymysql://db/mlflow", "mysql+pymysql://db/mlflow"),
    ],
)
def test_an_address_means_the_same_from_every_folder(typed: str, resolved: str) -> None:
    assert resolve_uri(typed, Path("/home/ada")) == resolved


def test_null_takes_the_environment_and_then_the_file_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert resolve_uri(None, Path("/home/ada")) == "http://mlflow:5000"
    assert resolve_uri("sqlite:///a.db", Path("/home/ada")) == "sqlite:////home/ada/a.db"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert resolve_uri(None, Path("/home/ada")) == "sqlite:////home/ada/mlflow.db"


@pytest.mark.parametrize(
    ("address", "resolved", "variables"),
    [
        (
            "http://ada:w%40rd@mlflow:5000/",
            "http://mlflow:5000",
            {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "w@rd"},
        ),
        ("postgresql+psycopg://ada:word@db:5433/m", "postgresql+psycopg://ada@db:5433/m", {"PGPASSWORD": "word"}),
    ],
)
@pytest.mark.fault("a password in MLFLOW_TRACKING_URI", "used, and not recorded")
def test_a_password_in_the_environment_is_used_and_not_recorded(
    address: str, resolved: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in variables:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert resolve_uri(None, Path("/home/ada")) == resolved
    assert {name: os.environ[name] for name in variables} == variables


def test_a_password_that_only_an_address_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mysql+pymysql://ada:word@db/mlflow")
    with pytest.raises(ConfigError, match="read_default_file") as caught:
        resolve_uri(None, Path("/home/ada"))
    assert "ada:***@db" in str(caught.value) and "ada:word" not in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [
        ("mlruns", "tracking.uri=sqlite:///mlflow.db"),
        ("./mlruns", "tracking.uri=sqlite:///mlflow.db"),
        ("file:///data/mlruns", "tracking.uri=sqlite:///mlflow.db"),
        ("runs.db", "tracking.uri=sqlite:///runs.db"),
        ("file:/data/runs.db", "tracking.uri=sqlite:////data/runs.db"),
        ("sqlite://", "tracking.uri=sqlite:///mlflow.db"),
        ("http://", "tracking.uri=sqlite:///mlflow.db"),
        ("s3://bucket/mlruns", "tracking.uri=sqlite:///mlflow.db"),
        ("databricks", "tracking.uri=sqlite:///mlflow.db"),
    ],
)
def test_what_mlflow_cannot_record_at_is_refused_with_the_fix(typed: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_uri(typed, Path("/home/ada"))
    message = str(caught.value)
    assert message.startswith(f"tracking.uri={typed}: ")
    assert "sqlite:///FILE.db, http://HOST:PORT" in message
    assert message.endswith(f"Type {remedy}")


def test_a_bad_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "/mlruns")
    with pytest.raises(ConfigError, match=r"^MLFLOW_TRACKING_URI=/mlruns: .*Type tracking.uri=sqlite"):
        resolve_uri(None, Path("/home/ada"))


def test_artifacts_lie_beside_a_sqlite_file_and_nowhere_else_of_ours() -> None:
    assert artifact_location("sqlite:////srv/my runs/mlflow.db") == "file:///srv/my%20runs/mlartifacts"
    assert artifact_location("http://mlflow:5000") is None


def test_how_to_open_a_run() -> None:
    assert how_to_open("sqlite:////srv/mlflow.db", "3", "abc").startswith(
        "mlflow ui --backend-store-uri sqlite:////srv/"
    )
    assert how_to_open("sqlite:////srv/mlflow.db", "3", "abc").endswith("/#/experiments/3/runs/abc")
    assert how_to_open("http://mlflow:5000", "3", "abc") == "http://mlflow:5000/#/experiments/3/runs/abc"


def test_a_server_that_is_down_is_named_with_the_line_that_starts_it(closed_port: int) -> None:
    problem = unreachable(f"http://127.0.0.1:{closed_port}", 2)
    assert problem is not None
    assert problem.startswith(f"tracking.uri=http://127.0.0.1:{closed_port}: nothing answers there")
    assert f"mlflow server --host 127.0.0.1 --port {closed_port} --backend-store-uri sqlite:///mlflow.db" in problem
    assert "tracking=none" in problem
    assert "tracking.uri=sqlite:///mlflow.db" in problem


def test_passwords_stay_out_of_messages(closed_port: int) -> None:
    problem = unreachable(f"postgresql://ada:secret@127.0.0.1:{closed_port}/mlflow", 2)
    assert problem is not None
    assert "ada:***@127.0.0.1" in problem
    assert "secret" not in problem
