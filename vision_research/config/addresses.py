"""Addresses of data: a path of this machine, or `s3://BUCKET/KEY`. Text in, text out; nothing is looked at."""

from __future__ import annotations

import os.path
from pathlib import Path

# A run in MLflow, by its id: `runs:/ID`.
RUNS_SCHEME = "runs:/"


def is_s3(address: str | Path | None) -> bool:
    """Tell whether an address lies in S3; pathlib writes one slash where there were two."""
    text = str(address)
    return text.startswith("s3:/") and text.strip("/") != "s3:"


def absolute(address: str) -> str:
    """Make a path absolute; an address in S3 is one already."""
    return address.rstrip("/") if is_s3(address) else str(Path(address).absolute())


def join(folder: str, address: str) -> str:
    """Name what `address` is from inside of a folder: an absolute path and an address in S3 stand for themselves."""
    if is_s3(address) or not is_s3(folder):
        return address if is_s3(address) else os.path.join(folder, address)  # noqa: PTH118  # keeps a last slash
    return "/".join(part for part in (folder.rstrip("/"), address.strip("/")) if part)
