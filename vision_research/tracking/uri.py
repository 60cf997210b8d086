"""Tracking addresses: which ones a person may type, where artifacts are stored, and whether something listens there.

Imports no MLflow, so that a bad address or a server that is down is reported within a second.
"""

from __future__ import annotations

import os
import shlex
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from vision_research.config.errors import ConfigError

DEFAULT_URI = "sqlite:///mlflow.db"
_SQLITE = "sqlite:///"
_DATABASES = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_WAYS_OUT = "record into a file here: tracking.uri=sqlite:///mlflow.db; or train without a record: tracking=none"


def resolve_uri(text: str | None, base: Path) -> str:
    """Turn what a person typed into an address that means the same in every working directory.

    Args:
        text: `tracking.uri`; None uses `MLFLOW_TRACKING_URI`, or else `sqlite:///mlflow.db`.
        base: absolute folder that a relative SQLite path is relative to: the one in which the command was typed.

    Returns:
        `sqlite:////absolute/path.db`, or a server's or database's address. User and password of an address are moved to
        the variables of the environment from which MLflow and PostgreSQL take them, since addresses are recorded.

    Raises:
        ConfigError: a plain path or a `file:` address (MLflow has refused both since 3.14), an unknown scheme, or a
            password of a database that takes none from the environment.
    """
    key, value = ("tracking.uri", text) if text else ("MLFLOW_TRACKING_URI", os.environ.get("MLFLOW_TRACKING_URI"))
    value = _without_credentials(value or DEFAULT_URI)
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


def _without_credentials(uri: str) -> str:
    parts = urlsplit(uri) if "://" in uri else None
    if parts is None or parts.password is None:
        return uri
    user, password, scheme = unquote(parts.username or ""), unquote(parts.password), parts.scheme.partition("+")[0]
    if scheme in ("http", "https"):
        os.environ |= {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if scheme == "postgresql":
        os.environ["PGPASSWORD"] = password
        return urlunsplit(parts._replace(netloc=f"{parts.username}@{parts.netloc.rpartition('@')[2]}"))
    raise ConfigError(
        f"{hide_password(uri)}: a password in an address would be recorded. Leave it out, and name a file of the "
        "driver's that has it, such as mysql+pymysql://USER@HOST/DB?read_default_file=~/.my.cnf"
    )


def sqlite_path(uri: str) -> Path | None:
    """Return the database file of a resolved SQLite address; None for every other store."""
    return Path(uri[len(_SQLITE) :].partition("?")[0]) if uri.startswith(_SQLITE) else None


def artifact_location(uri: str) -> str | None:
    """Return where a new experiment stores its artifacts: `mlartifacts` beside a SQLite file; None: the server decides.

    By default MLflow uses `mlruns` in the working directory for SQLite. In a directory with such a folder every later
    MLflow command selects the file store, which it then refuses.
    """
    path = sqlite_path(uri)
    return (path.parent / "mlartifacts").as_uri() if path else None


def how_to_open(uri: str, experiment_id: str, run_id: str) -> str:
    """Return what to type, or which page to open, to see a run.

    Args:
        uri: as `resolve_uri` returned it.
        experiment_id: MLflow's id of the experiment.
        run_id: MLflow's id of the run.
    """
    page = f"#/experiments/{experiment_id}/runs/{run_id}"
    if urlsplit(uri).scheme in ("http", "https"):
        return f"{uri}/{page}"
    return f"mlflow ui --backend-store-uri {shlex.quote(uri)}   # then open http://127.0.0.1:5000/{page}"


def unreachable(uri: str, timeout_s: float) -> str | None:
    """Check whether something listens at an address, without MLflow; return the problem and its remedy, or None.

    Args:
        uri: as `resolve_uri` returned it.
        timeout_s: time limit of the connection, in seconds.
    """
    path = sqlite_path(uri)
    if path is not None:
        return _sqlite_problem(path)
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    port = parts.port or _DATABASES.get(scheme) or (443 if scheme == "https" else 80)
    goes_through_proxy = parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")
    if not parts.hostname or goes_through_proxy:
        return None
    try:
        socket.create_connection((parts.hostname, port), timeout_s).close()
    except OSError as error:
        return f"tracking.uri={hide_password(uri)}: nothing answers there ({error}). {remedy(uri)}"
    return None


def hide_password(uri: str) -> str:
    """Replace the password in an address by `***`, for messages."""
    password = urlsplit(uri).password
    return uri.replace(f":{password}@", ":***@") if password else uri


def remedy(uri: str) -> str:
    """Return what to type when a store does not answer."""
    parts = urlsplit(uri)
    if parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost"):
        start = f"mlflow server --host {parts.hostname} --port {parts.port or 80} --backend-store-uri {DEFAULT_URI}"
        return f"Start the server: {start}; or {_WAYS_OUT}"
    if sqlite_path(uri):
        return "Choose another file: tracking.uri=sqlite:///FILE.db; or train without a record: tracking=none"
    return f"Mend the address or the server; or {_WAYS_OUT}"


def _sqlite_problem(path: Path) -> str | None:
    folder = next(parent for parent in path.parents if parent.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        # SQLite writes its journal beside the file, so the folder must be writable too.
        return f"tracking.uri={_SQLITE}{path}: the folder {folder} cannot be written. {remedy(_SQLITE)}"
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        if "locked" in str(error):
            return None
        return (
            f"tracking.uri={_SQLITE}{path}: this is no SQLite database that can be opened ({error}). {remedy(_SQLITE)}"
        )
    return None


def _suggest(value: str, scheme: str) -> str:
    if scheme in ("", "file") and value.endswith((".db", ".sqlite", ".sqlite3")):
        return _SQLITE + value.removeprefix("file://").removeprefix("file:")
    return DEFAULT_URI
