"""Addresses of objects: `s3://BUCKET/KEY`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# pathlib joins neighbouring slashes: str(Path("s3://bucket/key")) is "s3:/bucket/key".
_PREFIX = re.compile(r"^s3:/{1,2}(?=[^/])")


@dataclass(frozen=True)
class S3Uri:
    """One object, or the folder of all objects whose keys go on after `KEY/`.

    Attributes:
        bucket: its name.
        key: as S3 has it: any text, nothing in it is quoted; without a slash at either end; empty is the whole bucket.
    """

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, address: str | Path) -> S3Uri:
        """Take an address apart.

        Args:
            address: `s3://BUCKET/KEY`; spaces, `+`, `#`, `%` and any other character stand for themselves.

        Raises:
            ValueError: it is no address in S3, or names no bucket.
        """
        text = str(address)
        found = _PREFIX.match(text)
        if found is None:
            raise ValueError(f"{text!r} is no address in S3; write s3://BUCKET/KEY.")
        bucket, _, key = text[found.end() :].partition("/")
        return cls(bucket, key.strip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> S3Uri:
        """The folder that it lies in; that of a bucket is the bucket."""
        return S3Uri(self.bucket, self.key.rpartition("/")[0])

    @property
    def folder_prefix(self) -> str:
        """What the keys inside of this folder start with."""
        return f"{self.key}/" if self.key else ""

    def child(self, relative: str) -> S3Uri:
        """Name an object inside of this folder."""
        return S3Uri(self.bucket, self.folder_prefix + relative.strip("/"))
