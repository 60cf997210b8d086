"""Tracking addresses: what a person may type, where artifacts lie, and whether the store answers.

Needs no MLflow to refuse a bad address or to see that nothing listens, so both are said within a second.
"""

from __future__ import annotations

import os
import shlex
import socket
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from vision_research.config.errors import ConfigError

DEFAULT_URI = "sqlite:///mlflow.db"
_SQLITE = "sqlite:///"
_DATABASES = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_WAYS_OUT = "record into a file here: tracking.uri=sqlite:///mlflow.db; or train without a record: tracking=none"


def resolve_uri(text: str | None, base: Path, environ: Mapping[str, str] | None = None) -> str:
    """Turn what a person typed into an address that means the same from every folder.

    Args:
        text: `tracking.uri`; None takes `MLFLOW_TRACKING_URI`, and without that `sqlite:///mlflow.db`.
        base: absolute folder that a relative SQLite path is relative to: where the command was typed.
        environ: environment to read; None is this process's.

    Returns:
        `sqlite:////absolute/path.db`, or a server's or database's address as it was typed.

    Raises:
        ConfigError: a bare path, a `file:` address (MLflow refuses both since 3.14), or a scheme that it does not know.
    """
    env = os.environ if environ is None else environ
    key, value = ("tracking.uri", text) if text else ("MLFLOW_TRACKING_URI", env.get("MLFLOW_TRACKING_URI"))
    value = value or DEFAULT_URI
    scheme = value.partition("://")[0].partition("+")[0].lower() if "://" in value else ""
    if scheme in ("http", "https") and urlsplit(value).hostname:
        return value.rstrip("/")
    if scheme in _DATABASES:
        return value
    if value.startswith(_SQLITE) and value != _SQLITE:
        path, question, query = value[len(_SQLITE) :].partition("?")
        return f"{_SQLITE}{(base / path).resolve()}{question}{query}"
    raise ConfigError(
        f"{key}={value}: this is no address that MLflow can record at (it takes no folders and no file: any more). "
        "Allowed: sqlite:///FILE.db, http://HOST:PORT, https://HOST, postgresql://..., mysql://..., mssql://.... "
        f"Type tracking.uri={_suggest(value, scheme)}"
    )


def sqlite_path(uri: str) -> Path | None:
    """The database file of a resolved SQLite address; None for every other store."""
    return Path(uri[len(_SQLITE) :].partition("?")[0]) if uri.startswith(_SQLITE) else None


def artifact_location(uri: str) -> str | None:
    """Where a new experiment keeps its artifacts: `mlartifacts` beside a SQLite file; None leaves it to the server.

    MLflow's own answer for SQLite is `mlruns` in whatever folder the command was typed, and such a folder turns every
    later MLflow command there to the file store that it refuses.
    """
    path = sqlite_path(uri)
    return (path.parent / "mlartifacts").as_uri() if path else None


def how_to_open(uri: str, experiment_id: str, run_id: str) -> str:
    """Say what to type, or where to click, to see a run."""
    page = f"#/experiments/{experiment_id}/runs/{run_id}"
    if urlsplit(uri).scheme in ("http", "https"):
        return f"{uri}/{page}"
    return f"mlflow ui --backend-store-uri {shlex.quote(uri)}   # then open http://127.0.0.1:5000/{page}"


SIGN_IN = "Type export MLFLOW_TRACKING_USERNAME=NAME MLFLOW_TRACKING_PASSWORD=PASSWORD"
"""What to type when a server does not know who is asking."""


def unreachable(uri: str, timeout_s: float) -> str | None:
    """Look whether something listens at a resolved address, without importing MLflow.

    Args:
        uri: as `resolve_uri` returned it.
        timeout_s: how long to wait for a connection, in seconds.

    Returns:
        The problem with its remedy, or None.
    """
    path = sqlite_path(uri)
    if path is not None:
        return _sqlite_problem(path)
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    port = parts.port or _DATABASES.get(scheme) or (443 if scheme == "https" else 80)
    if not parts.hostname or _goes_through_proxy(parts):
        return None
    try:
        socket.create_connection((parts.hostname, port), timeout_s).close()
    except OSError as error:
        return f"tracking.uri={_without_password(parts)}: nothing answers there ({error}). {remedy(uri)}"
    return None


def remedy(uri: str) -> str:
    """What to type when a store does not answer."""
    parts = urlsplit(uri)
    if parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost"):
        start = f"mlflow server --host {parts.hostname} --port {parts.port or 80} --backend-store-uri {DEFAULT_URI}"
        return f"Start the server: {start}; or {_WAYS_OUT}"
    if sqlite_path(uri):
        return "Choose another file: tracking.uri=sqlite:///FILE.db; or train without a record: tracking=none"
    return f"Mend the address or the server; or {_WAYS_OUT}"


def check_store(uri: str, timeout_s: float) -> str | None:
    """Say what keeps a store from taking a run: for the doctor and before a training.

    A SQLite file is looked at and not created. A database that is empty gets MLflow's tables.

    Args:
        uri: as `resolve_uri` returned it.
        timeout_s: how long one request may take, in seconds.

    Returns:
        The problem with its remedy, or None.
    """
    problem = unreachable(uri, timeout_s)
    if problem or sqlite_path(uri):
        return problem
    from vision_research.tracking.client import Store  # here, because it imports mlflow (and this module)
    from vision_research.tracking.store_errors import StoreError

    try:
        Store(uri, timeout_s).ping()
    except StoreError as error:
        way_out = SIGN_IN if "401" in str(error) or "not authenticated" in str(error) else remedy(uri)
        return f"tracking.uri={_without_password(urlsplit(uri))}: {error}. {way_out}"
    return None


def _sqlite_problem(path: Path) -> str | None:
    folder = next(parent for parent in path.parents if parent.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        # SQLite writes its journal beside the file, so the folder must be writable too.
        return f"tracking.uri={_SQLITE}{path}: the folder {folder} cannot be written. {remedy(_SQLITE)}"
    if not path.exists():
        return None
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        if "locked" in str(error):
            return None
        return (
            f"tracking.uri={_SQLITE}{path}: this is no SQLite database that can be opened ({error}). {remedy(_SQLITE)}"
        )
    return None


def _goes_through_proxy(parts: SplitResult) -> bool:
    return parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")


def _suggest(value: str, scheme: str) -> str:
    if scheme in ("", "file", "sqlite") and not value.endswith((".db", ".sqlite", ".sqlite3")):
        return DEFAULT_URI
    if scheme in ("", "file"):
        return _SQLITE + value.removeprefix("file://").removeprefix("file:")
    return DEFAULT_URI


def _without_password(parts: SplitResult) -> str:
    text = parts.geturl()
    return text.replace(f":{parts.password}@", ":***@") if parts.password else text
