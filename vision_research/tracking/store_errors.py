"""The three ways in which a store fails to accept something, and MLflow's error codes for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class StoreError(Exception):
    """The store did not accept it."""


class StoreUnavailable(StoreError):
    """The store may accept it later: it does not answer, is overloaded, or the credentials are wrong."""


class StoreRefused(StoreError):
    """The store will never accept this value."""


class RunGone(StoreError):
    """The run was deleted from the store."""


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
