"""How S3 is reached: what is set for all of a process, or for one back end by its `backend_args`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import Any

SETTINGS = "VISION_RESEARCH_S3"
"""Environment variable: the settings as JSON, for processes that this one starts. Credentials are not among them."""


@dataclass(frozen=True)
class S3Settings:
    """How S3 is reached. Credentials are no part of it: boto3 finds them (environment, profile, instance role).

    Attributes:
        endpoint_url: of a server that is not AWS; None is AWS, or what `AWS_ENDPOINT_URL_S3` says.
        region: None is what boto3 finds.
        profile: section of the AWS configuration files; None is what boto3 finds.
        connect_timeout_s: until a connection stands; never more than a quarter of `give_up_after_s`.
        read_timeout_s: without a byte, before a request counts as lost and is made again; likewise.
        give_up_after_s: a request that failed all the time is given up then.
        max_connections: open at once, for each process.
        cache_dir: folder of the disk cache that all processes of this machine share; None reads every time.
        cache_size_gb: what the cache may hold, 10^9 bytes.
        packed: whether images lie in a pack, in or above the folder that they are named in.
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
        """Until a connection stands, and without a byte: so short that a request is made again before all is over."""
        return min(self.connect_timeout_s, self.give_up_after_s / 4), min(self.read_timeout_s, self.give_up_after_s / 4)

    @property
    def where(self) -> str:
        """The server, for a message."""
        return self.endpoint_url or "AWS"


_of_process: S3Settings | None = None


def set_default_settings(settings: S3Settings | None) -> None:
    """Set what `s3://` means in this process, and in those that it forks, wherever no `backend_args` say otherwise.

    None is what the process was started with.
    """
    global _of_process
    _of_process = settings


def hand_down_settings(settings: S3Settings) -> None:
    """Set what `s3://` means in this process and in all that it starts from now on."""
    set_default_settings(settings)
    os.environ[SETTINGS] = json.dumps(asdict(settings))


def default_settings(**changes: Any) -> S3Settings:
    """What `s3://` means in this process, with some of it changed.

    Raises:
        TypeError: a change names nothing that can be set.
    """
    settings = _of_process or S3Settings(**json.loads(os.environ.get(SETTINGS, "{}")))
    return replace(settings, **changes)
