"""Opens MLflow clients, and translates their errors into three that tell whether to try again.

Sets MLflow's environment variables, from which it reads its time limits at every call, and creates a SQLite file once.
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


class StoreError(Exception):
    """The store did not accept it."""


class StoreUnavailable(StoreError):
    """The store may accept it later: it does not answer, is overloaded, or the credentials are wrong."""


class StoreRefused(StoreError):
    """The store will never accept this value."""


class RunGone(StoreError):
    """The run was deleted from the store."""


def new_client(uri: str) -> Any:
    """Make the MlflowClient of a resolved address."""
    from mlflow import MlflowClient

    # These loggers report every migration of a new file, and the traceback of a busy database, which delivery reports
    # itself and retries.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    client = MlflowClient(tracking_uri=uri)
    if sqlite_path(uri):
        client.search_experiments(max_results=1)  # makes the tables now, while the lock is held
    return client


def prepare_environment(timeout_s: float) -> None:
    """Set MLflow's time limits, and switch off its own retries, telemetry and progress bars."""
    prepare_import()
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(max(1, round(timeout_s)))


def prepare_import() -> None:
    """Switch off MLflow's telemetry and progress bars; to be called before MLflow is imported."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


@contextmanager
def request_timeout(timeout_s: float) -> Iterator[None]:
    """Use another time limit for requests inside the block, in seconds."""
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
    """Let only one process at a time create a SQLite file, because two of MLflow's migrations at once fail."""
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


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise errors of MLflow and of the network as a `StoreError`."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code == "INVALID_PARAMETER_VALUE":
            raise StoreRefused(error.message) from error
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise RunGone(error.message) from error
        raise StoreUnavailable(_short(error.message)) from error
    except OSError as error:  # requests' errors are OSErrors too
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


def _short(message: str) -> str:
    """Shorten MLflow's message of five lines about a server that does not answer."""
    if "Read timed out" in message or "timeout exception" in message:
        return "the server does not answer: timed out"
    if "Connection refused" in message or "NewConnectionError" in message:
        return "nothing answers there: connection refused"
    return message
