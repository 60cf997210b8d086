"""Addresses of data: a local path, or `s3://BUCKET/KEY`.

The functions only handle text; none of them accesses a file or an object.
"""

from __future__ import annotations

import os.path
from pathlib import Path

# Prefix of the address of an MLflow run: `runs:/ID`.
RUNS_SCHEME = "runs:/"


def is_s3(address: str | Path | None) -> bool:
    """Return whether an address is in S3. One slash after `s3:` is enough, since pathlib removes the second."""
    text = str(address)
    return text.startswith("s3:/") and text.strip("/") != "s3:"


def absolute(address: str) -> str:
    """Return an absolute path; an address in S3 only loses a trailing slash."""
    return address.rstrip("/") if is_s3(address) else str(Path(address).absolute())


def join(folder: str, address: str) -> str:
    """Join a folder and an address inside it.

    Args:
        folder: a local path, or an address in S3.
        address: relative to the folder, an absolute path, or an address in S3.

    Returns:
        `address` itself if it is absolute or in S3, otherwise both joined. `.` and `..` are resolved in S3 too.
    """
    if is_s3(address) or os.path.isabs(address):  # noqa: PTH117  # text in, text out
        return address
    if not is_s3(folder):
        return os.path.join(folder, address)  # noqa: PTH118  # unlike pathlib, keeps a slash at the end
    bucket, _, inside = folder.removeprefix("s3:").strip("/").partition("/")
    return f"s3://{bucket}/{resolve_dots(f'{inside}/{address}')}".rstrip("/")


def resolve_dots(key: str) -> str:
    """Resolve the parts `.` and `..` of a key in S3; `..` at the top of a bucket is ignored, as in `/..` on a disk.

    S3 treats both as ordinary text, but urllib3 resolves them after a request was signed, so that an object whose key
    contains such a part cannot be read. The result has no leading or trailing slashes.
    """
    parts: list[str] = []
    for part in key.strip("/").split("/"):
        if part == "..":
            del parts[-1:]
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
