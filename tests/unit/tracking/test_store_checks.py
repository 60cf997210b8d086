"""Checks of a store: a database, a server, and the artifact store behind it, as MLflow 3.17 answers."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from vision_research.tracking.store_checks import check_artifacts, check_store

Answer = Callable[[int, str], str]
DIRECT = (
    "Endpoint: /api/2.0/mlflow-artifacts/artifacts disabled due to the mlflow server running with "
    "`--no-serve-artifacts`. To enable artifacts server functionality, run `mlflow server` with `--serve-artifacts`"
)


class Handler(BaseHTTPRequestHandler):
    status, text = 200, "{}"
    asked: list[tuple[str, str | None]] = []

    def do_GET(self) -> None:  # noqa: N802
        Handler.asked.append((self.path, self.headers.get("Authorization")))
        self.send_response(Handler.status)
        self.end_headers()
        self.wfile.write(Handler.text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    Handler.asked.clear()
    with HTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "text", "ok", "said"),
    [
        (200, '{"files": []}', True, "through the server, which listed its store in"),
        (503, DIRECT, True, "written by each machine itself"),
        (401, "You are not authenticated.", False, "export MLFLOW_TRACKING_USERNAME=NAME"),
        (500, "NoSuchBucket", False, "the server cannot list its store (HTTP 500)"),
    ],
)
def test_what_a_server_answers_is_told(status: int, text: str, ok: bool, said: str, server: str) -> None:
    Handler.status, Handler.text = status, text
    found = check_artifacts(server, 5)

    assert found[0] is ok
    assert said in found[1]


def test_names_and_passwords_are_those_that_mlflow_takes(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "word")
    check_artifacts(server, 5)

    signed = base64.b64encode(b"anna:word").decode()
    assert Handler.asked == [("/api/2.0/mlflow-artifacts/artifacts?path=", f"Basic {signed}")]


def test_no_server_is_told() -> None:
    assert check_artifacts("http://127.0.0.1:9", 1)[1].startswith("nothing answers")


@pytest.fixture
def open_port() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.mark.slow
def test_something_that_listens_and_never_answers_is_a_problem(open_port: int) -> None:
    problem = check_store(f"http://127.0.0.1:{open_port}", 1)
    assert problem is not None
    assert "timed out" in problem
    assert "tracking=none" in problem


def test_a_sqlite_file_is_looked_at_and_not_made(tmp_path: Path) -> None:
    assert check_store(f"sqlite:///{tmp_path}/new/mlflow.db", 1) is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, but long enough to have a header of one hundred bytes " * 3)
    problem = check_store(f"sqlite:///{tmp_path}/mlflow.db", 1)
    assert problem is not None
    assert "this is no SQLite database" in problem
    assert "Choose another file: tracking.uri=sqlite:///FILE.db" in problem
