"""Why a store did not take something: later, never, or because the run is gone.

Owns the three kinds of failure and which of MLflow's error codes is which.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class StoreError(Exception):
    """The store did not take it."""


class StoreUnavailable(StoreError):
    """It may take it later: away, hung, overloaded, or the credentials are wrong."""


class StoreRefused(StoreError):
    """It will never take this value."""


class RunGone(StoreError):
    """The run was deleted from the store."""


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise MLflow's and the network's errors as one of ours."""
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
    """Say in a few words what MLflow says of a server that is away in five lines."""
    if "Read timed out" in message or "timeout exception" in message:
        return "the server does not answer: timed out"
    if "Connection refused" in message or "NewConnectionError" in message:
        return "nothing answers there: connection refused"
    return message
