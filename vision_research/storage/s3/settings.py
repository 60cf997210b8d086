"""How S3 is reached: settings of a process, and of single back ends by their `backend_args`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import Any

SETTINGS = "VISION_RESEARCH_S3"
"""Environment variable: the settings as JSON, for child processes. They contain no credentials."""


@dataclass(frozen=True)
class S3Settings:
    """How S3 is reached. boto3 finds the credentials itself (environment, profile, instance role).

    Attributes:
        endpoint_url: address of a server other than AWS; None is AWS, or the value of `AWS_ENDPOINT_URL_S3`.
        region: None is the region that boto3 finds.
        profile: section of the AWS configuration files; None is the one that boto3 finds.
        connect_timeout_s: time limit for opening a connection; at most a quarter of `give_up_after_s` is used.
        read_timeout_s: time without a byte after which a request is repeated; at most a quarter of `give_up_after_s`.
        give_up_after_s: time after which a failing request is no longer repeated.
        max_connections: open connections of each process.
        cache_dir: folder of the disk cache that all processes of this machine share; None disables the cache.
        cache_size_gb: largest size of the cache, in units of 10^9 bytes.
        packed: whether the images are in a pack, in their own folder or a folder above it.
    """

    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 15.0
    give_up_after_s: float = 120.0
    max_connections: int = 32
    cache_dir: str | None = None
    cache_size_gb: float = 50.0
    packed: bool = False

    @property
    def timeouts_s(self) -> tuple[float, float]:
        """Time limits for connecting and for reading, short enough for several attempts before `give_up_after_s`."""
        return min(self.connect_timeout_s, self.give_up_after_s / 4), min(self.read_timeout_s, self.give_up_after_s / 4)

    @property
    def where(self) -> str:
        """The server, for messages."""
        return self.endpoint_url or "AWS"

    def name_of(self, uri: object) -> str:
        """Return an address together with its server: the name of an object in the cache."""
        return f"{self.endpoint_url or ''} {uri}"


_of_process: S3Settings | None = None


def set_default_settings(settings: S3Settings | None) -> None:
    """Set what this process and its forks use for `s3://` without `backend_args`; None restores the first."""
    global _of_process
    _of_process = settings


def hand_down_settings(settings: S3Settings) -> None:
    """Set the settings of this process and of all child processes that it starts from now on."""
    set_default_settings(settings)
    os.environ[SETTINGS] = json.dumps(asdict(settings))


def default_settings(**changes: Any) -> S3Settings:
    """Return the settings of this process, with some fields of `S3Settings` changed."""
    settings = _of_process or S3Settings(**json.loads(os.environ.get(SETTINGS, "{}")))
    return replace(settings, **changes)
