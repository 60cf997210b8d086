"""What the doctor says of a server's artifact store, from the answers that MLflow 3.17 gives."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from vision_research.tracking.artifact_store import check_artifacts

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
