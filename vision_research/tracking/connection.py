"""Opens MLflow clients: its environment, its import, and the first creation of a SQLite file.

MLflow reads its time limits from the environment at every call, so they are set there.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vision_research.tracking.uri import sqlite_path

logger = logging.getLogger(__name__)
_environment_lock = threading.Lock()


def new_client(uri: str) -> Any:
    """Make the MlflowClient of a resolved address."""
    from mlflow import MlflowClient

    # Both report what is no problem of the person's: every migration of a new file, and the traceback of a busy
    # database (which is retried, and reported by whoever delivers).
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    client = MlflowClient(tracking_uri=uri)
    if sqlite_path(uri):
        client.search_experiments(max_results=1)  # makes the tables now, while the lock is held
    return client


def prepare_environment(timeout_s: float) -> None:
    """Set what MLflow reads at every call; telemetry before its import."""
    quiet_import()
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(max(1, round(timeout_s)))


def quiet_import() -> None:
    """Turn off, before MLflow is imported, what it sends home and what it draws."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


@contextmanager
def request_timeout(timeout_s: float) -> Iterator[None]:
    """Let requests take longer inside of the block."""
    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    with _environment_lock:
        before = os.environ[name]
        os.environ[name] = str(round(timeout_s))
        try:
            yield
        finally:
            os.environ[name] = before


@contextmanager
def first_creation_lock(uri: str) -> Iterator[None]:
    """Let one process at a time make a SQLite file: MLflow's migrations fail when two run at once."""
    path = sqlite_path(uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not path.exists():
            logger.info("Making the MLflow database %s (3 to 6 s, once)", path)
        yield
    finally:
        os.close(handle)
