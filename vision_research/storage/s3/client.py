"""One boto3 client per process, and requests that are retried until they succeed or their time is over.

The schedule of the retries is tenacity's, which costs 20 microseconds per request. It is imported with the first
request, because every command that looks at data imports this module.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from vision_research.storage.s3.errors import EXPIRED, explain, failure_of
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri

if TYPE_CHECKING:
    from tenacity import Retrying

T = TypeVar("T")

# Pauses double from 0.1 s up to 5 s. Half of each is random, because many workers lose the same server at once.
_FIRST_HALF_PAUSE_S = 0.05
_LONGEST_HALF_PAUSE_S = 2.5

_made: dict[tuple[Callable[[S3Settings], Any], S3Settings], Any] = {}
_lock = threading.Lock()


def _forget() -> None:
    """Drop the parent's connections in a forked child: two processes on one connection receive each other's data.

    The lock is replaced too, since another thread may have held it during the fork.
    """
    global _lock
    _made.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)


def made_once(make: Callable[[S3Settings], Any], settings: S3Settings) -> Any:
    """Return what this process has made for settings; all threads may use it.

    Args:
        make: makes it at the first call.
        settings: how S3 is reached.
    """
    with _lock:
        if (make, settings) not in _made:
            _made[make, settings] = make(settings)
        return _made[make, settings]


def s3_client(settings: S3Settings) -> Any:
    """Return the boto3 client of this process; `S3Error` if the profile or the endpoint does not exist."""
    return made_once(_make_client, settings)


def with_retries(call: Callable[[Any], T], action: str, uri: S3Uri, settings: S3Settings) -> T:
    """Make a request; repeat it while it fails with an error that may pass, for at most `settings.give_up_after_s`.

    Args:
        call: makes the whole request with a client, body included; it may be called often.
        action: S3's name of the required permission, for messages.
        uri: the object or folder that is requested, for messages.
        settings: how S3 is reached.

    Raises:
        S3NotFoundError: there is no such object.
        S3GaveUpError: the server did not answer in time.
        S3Error: the request was refused.
    """
    try:
        result: T = _retrying(settings)(_call_with_valid_credentials, call, settings)
        return result
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            raise
        raise explain(failure, action, uri, settings) from error


def _retrying(settings: S3Settings) -> Retrying:
    from tenacity import Retrying, retry_if_exception, stop_before_delay, wait_exponential, wait_random_exponential

    half_pause = {"multiplier": _FIRST_HALF_PAUSE_S, "max": _LONGEST_HALF_PAUSE_S}
    return Retrying(
        retry=retry_if_exception(_is_transient),
        wait=wait_exponential(**half_pause) + wait_random_exponential(**half_pause),
        stop=stop_before_delay(settings.give_up_after_s),
        reraise=True,
    )


def _is_transient(error: BaseException) -> bool:
    failure = failure_of(error) if isinstance(error, Exception) else None
    return failure is not None and failure.transient


def _call_with_valid_credentials(call: Callable[[Any], T], settings: S3Settings) -> T:
    """Make a request; if the credentials have expired, look for new ones and repeat it once.

    boto3 renews credentials whose end it knows. It reads keys in a file only once, though another program may renew
    them.
    """
    try:
        return call(s3_client(settings))
    except Exception as error:
        failure = failure_of(error)
        if failure is None or failure.code not in EXPIRED:
            raise
    with _lock:
        _made.pop((_make_client, settings), None)
    return call(s3_client(settings))


def _make_client(settings: S3Settings) -> Any:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    # At level INFO it writes to the console of every process where it found the credentials.
    logging.getLogger("botocore.credentials").setLevel(logging.WARNING)
    connect_s, read_s = settings.timeouts_s
    config = Config(
        signature_version="s3v4",
        connect_timeout=connect_s,
        read_timeout=read_s,
        max_pool_connections=settings.max_connections,
        tcp_keepalive=True,
        # For the parts of a multipart upload; `with_retries` repeats the whole request, body included, for longer.
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    try:
        session = boto3.Session(profile_name=settings.profile, region_name=settings.region)
        # boto3 needs a region to make a client. This region of AWS answers where the bucket is.
        region = session.region_name or "us-east-1"
        return session.client("s3", endpoint_url=settings.endpoint_url, region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:
        failure = failure_of(error)
        if failure is None:
            raise
        raise explain(failure, "s3:*", S3Uri(""), settings) from error
