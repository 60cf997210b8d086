"""Checks of a tracking store, for the doctor and before a training: does it accept runs and artifacts?"""

from __future__ import annotations

import base64
import os
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from vision_research.tracking.client import Store
from vision_research.tracking.connection import StoreError
from vision_research.tracking.uri import hide_password, remedy, sqlite_path, unreachable

SIGN_IN = "Type export MLFLOW_TRACKING_USERNAME=NAME MLFLOW_TRACKING_PASSWORD=PASSWORD"
"""What to type when a server does not accept the credentials."""

_ENDPOINT = "/api/2.0/mlflow-artifacts/artifacts?path="


def check_store(uri: str, timeout_s: float) -> str | None:
    """Check whether a store accepts runs; return the problem and its remedy, or None.

    An absent SQLite file is not created. A database without tables gets MLflow's.

    Args:
        uri: as `uri.resolve_uri` returned it.
        timeout_s: time limit of one request, in seconds.
    """
    problem = unreachable(uri, timeout_s)
    if problem or sqlite_path(uri):
        return problem
    try:
        Store(uri, timeout_s).ping()
    except StoreError as error:
        way_out = SIGN_IN if "401" in str(error) or "not authenticated" in str(error) else remedy(uri)
        return f"tracking.uri={hide_password(uri)}: {error}. {way_out}"
    return None


def check_artifacts(uri: str, timeout_s: float) -> tuple[bool, str]:
    """Ask a server to list its artifact store.

    Args:
        uri: of an MLflow server, `http://HOST:PORT` or `https://HOST`.
        timeout_s: time limit of the request, in seconds.

    Returns:
        Whether artifacts can be stored, and the finding: how they are transferred, or what is wrong and what to type.
    """
    started = time.perf_counter()
    try:
        with urllib.request.urlopen(_request(uri), timeout=timeout_s) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        return _explain_refusal(error.code, error.read().decode("utf-8", "replace"))
    except OSError as error:
        return False, f"nothing answers ({error})"
    return True, f"through the server, which listed its store in {(time.perf_counter() - started) * 1000:.0f} ms"


def _request(uri: str) -> urllib.request.Request:
    parts = urlsplit(uri)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/")).geturl() + _ENDPOINT
    request = urllib.request.Request(address)
    name = os.environ.get("MLFLOW_TRACKING_USERNAME") or parts.username
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD") or parts.password
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    elif name:
        signed = base64.b64encode(f"{name}:{password or ''}".encode()).decode()
        request.add_header("Authorization", f"Basic {signed}")
    return request


def _explain_refusal(status: int, text: str) -> tuple[bool, str]:
    if "--no-serve-artifacts" in text:
        return True, "written by each machine itself, which needs keys of S3 and, but for AWS, MLFLOW_S3_ENDPOINT_URL"
    if status in (401, 403):
        return False, f"the server does not know you (HTTP {status}). {SIGN_IN}"
    return False, f"the server cannot list its store (HTTP {status}): look at its log, and at its keys of S3"
