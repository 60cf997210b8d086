"""Addresses of objects: `s3://BUCKET/KEY`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vision_research.config.addresses import resolve_dots

# pathlib merges neighbouring slashes: str(Path("s3://bucket/key")) is "s3:/bucket/key".
_PREFIX = re.compile(r"^s3:/{1,2}(?=[^/])")


@dataclass(frozen=True)
class S3Uri:
    """One object, or the folder of all objects whose keys start with `KEY/`.

    Attributes:
        bucket: name of the bucket.
        key: as S3 stores it, not quoted, without a slash at either end; empty is the whole bucket.
    """

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, address: str | Path) -> S3Uri:
        """Split `s3://BUCKET/KEY` into bucket and key; `ValueError` if it is no address in S3, or has no bucket.

        Every character is taken literally (spaces, `+`, `#`, `%`); only the parts `.` and `..` of the key are resolved.
        """
        text = str(address)
        found = _PREFIX.match(text)
        if found is None:
            raise ValueError(f"{text!r} is no address in S3; write s3://BUCKET/KEY.")
        bucket, _, key = text[found.end() :].partition("/")
        # Without a dot after a slash there is nothing to resolve, and every read of an image comes here.
        return cls(bucket, resolve_dots(key) if "/." in text else key.strip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> S3Uri:
        """The folder that contains it; for a bucket, the bucket itself."""
        return S3Uri(self.bucket, self.key.rpartition("/")[0])

    @property
    def folder_prefix(self) -> str:
        """The prefix of all keys in this folder."""
        return f"{self.key}/" if self.key else ""

    def child(self, relative: str) -> S3Uri:
        """Return the address of an object in this folder."""
        return S3Uri(self.bucket, self.folder_prefix + relative.strip("/"))
