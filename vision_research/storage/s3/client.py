"""One client for each process, and requests that are made again until they succeed or time is over."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from vision_research.storage.s3.errors import EXPIRED, explain, explain_given_up, failure_of
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri

T = TypeVar("T")

_clients: dict[S3Settings, Any] = {}
_lock = threading.Lock()


def _forget_clients() -> None:
    """Connections of the parent, used by a forked child too, deliver bytes of each other's answers."""
    global _lock
    _clients.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_clients)


def s3_client(settings: S3Settings) -> Any:
    """Return this process's boto3 client; it may be used from many threads.

    Raises:
        S3Error: the profile does not exist, or the endpoint is no address.
    """
    with _lock:
        if settings not in _clients:
            _clients[settings] = _make_client(settings)
        return _clients[settings]


def forget_client(settings: S3Settings) -> None:
    """Let the next request make a new client, which looks for credentials anew."""
    with _lock:
        _clients.pop(settings, None)


def _make_client(settings: S3Settings) -> Any:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    # It says on every process's console where it found the credentials.
    logging.getLogger("botocore.credentials").setLevel(logging.WARNING)
    connect_s, read_s = settings.timeouts_s
    config = Config(
        signature_version="s3v4",
        connect_timeout=connect_s,
        read_timeout=read_s,
        max_pool_connections=settings.max_connections,
        tcp_keepalive=True,
        # Ours go on for longer, and cover the body too; this one serves the parts of a multipart upload.
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    try:
        session = boto3.Session(profile_name=settings.profile, region_name=settings.region)
        # Without a region boto3 makes no client; of AWS this one answers where the bucket is.
        region = session.region_name or "us-east-1"
        return session.client("s3", endpoint_url=settings.endpoint_url, region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:
        failure = failure_of(error)
        if failure is None:
            raise
        raise explain(failure, "s3:*", S3Uri(""), settings) from error


def persist(call: Callable[[], T], action: str, uri: S3Uri, settings: S3Settings) -> T:
    """Make a request until it succeeds, fails for good, or `settings.give_up_after_s` are over.

    Args:
        call: the whole request, its body with it, from `s3_client` on; it may be made many times.
        action: S3's name of the permission that it needs.
        uri: what it is about.
        settings: how long to go on.

    Raises:
        S3NotFoundError: there is no such object.
        S3GaveUpError: the server was away for too long.
        S3Error: it was refused.
    """
    started, renewed = time.monotonic(), False
    for pause in _pauses():
        try:
            return call()
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
            if failure.code in EXPIRED and not renewed:
                # boto3 renews what it knows the end of; keys in a file, which somebody else renews, it reads once.
                renewed = True
                forget_client(settings)
                continue
            if not failure.transient:
                raise explain(failure, action, uri, settings) from error
            if time.monotonic() - started + pause > settings.give_up_after_s:
                raise explain_given_up(failure, action, uri, settings) from error
        time.sleep(pause)
    raise AssertionError("the pauses never end")


def _pauses() -> Iterator[float]:
    """Seconds between attempts: doubled up to five, and scattered, since many workers lose the same server at once."""
    longest = 0.1
    while True:
        yield random.uniform(longest / 2, longest)
        longest = min(2 * longest, 5.0)
