"""Explains errors of S3 and says what to type, and decides which errors may pass when the request is repeated.

Knows the errors of botocore and urllib3, and makes no request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from vision_research.config.errors import UserError
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.uri import S3Uri


class S3Error(UserError):
    """S3 refused a request, or did not answer."""


class S3NotFoundError(S3Error, FileNotFoundError):
    """There is no such object."""


class S3DeniedError(S3Error):
    """The credentials are valid, and do not allow this action."""


class S3GaveUpError(S3Error):
    """The server did not answer, or was overloaded or broken, for longer than `storage.give_up_after_s`."""


@dataclass(frozen=True)
class Failure:
    """A failed request.

    Attributes:
        code: S3's own code, such as `AccessDenied`; without an answer, the name of the exception.
        status: HTTP status; None without an answer.
        detail: message of the server or the exception.
        region: region of the bucket, if the answer contains it.
        transient: whether the request may succeed when it is repeated.
    """

    code: str
    status: int | None
    detail: str
    region: str | None = None
    transient: bool = False


class AnswerError(Exception):
    """An answer of S3 that is an error, to a request that was made without botocore.

    Args:
        status: HTTP status.
        body: XML of the answer.
        headers: of the answer.
    """

    def __init__(self, status: int, body: bytes, headers: Any) -> None:
        def tag(name: str) -> str:
            found = re.search(f"<{name}>([^<]*)</{name}>".encode(), body)
            return found[1].decode("utf-8", "replace") if found else ""

        region = tag("Region") or headers.get("x-amz-bucket-region")
        self.failure = _answered(tag("Code") or str(status), status, tag("Message"), region)
        super().__init__(self.failure.code)


_TRANSIENT_CODES = frozenset(
    {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException"}
)
_NOT_FOUND = frozenset({"404", "NoSuchKey", "NotFound"})
_DENIED = frozenset({"AccessDenied", "403", "AllAccessDisabled"})
_WRONG_REGION = frozenset(
    {"301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}
)
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"})


def failure_of(error: Exception) -> Failure | None:
    """Describe an exception that a request to S3 raised; None for any other exception."""
    if isinstance(error, AnswerError):
        return error.failure
    from boto3 import exceptions as boto3
    from botocore import exceptions as botocore
    from urllib3 import exceptions as urllib3

    if isinstance(error, (boto3.S3UploadFailedError, boto3.RetriesExceededError)):
        inner = error.__context__ or getattr(error, "last_exception", None)
        return failure_of(inner) if isinstance(inner, Exception) else Failure(type(error).__name__, None, str(error))
    if isinstance(error, botocore.ClientError):
        found, meta = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        region = found.get("Region") or meta.get("HTTPHeaders", {}).get("x-amz-bucket-region")
        status = int(meta.get("HTTPStatusCode", 0))
        return _answered(str(found.get("Code", "")), status, str(found.get("Message", "")), region)
    name = type(error).__name__
    broken = (botocore.IncompleteReadError, botocore.FlexibleChecksumError, urllib3.HTTPError)
    if isinstance(error, (botocore.HTTPClientError, botocore.ConnectionError, *broken)):
        never = (botocore.SSLError, botocore.ProxyConnectionError, urllib3.SSLError)
        return Failure(name, None, _one_line(error), transient=not isinstance(error, never))
    if isinstance(error, botocore.BotoCoreError):
        return Failure(name, None, _one_line(error))
    return None


def _answered(code: str, status: int, detail: str, region: str | None) -> Failure:
    transient = code in _TRANSIENT_CODES or status >= 500 or status == 429
    return Failure(code, status, detail, region, transient)


def explain(failure: Failure, action: str, uri: S3Uri, settings: S3Settings) -> S3Error:
    """Make an error that says what failed and what to type.

    Args:
        failure: of the last attempt.
        action: S3's name of the required permission, such as `s3:GetObject`.
        uri: the object or folder that was requested.
        settings: how S3 is reached.
    """
    if failure.transient:
        said = f"{failure.code} {failure.detail}".strip()
        return S3GaveUpError(
            f"{settings.where} did not deliver {action} on {uri} for {settings.give_up_after_s:g} s "
            f"(storage.give_up_after_s); at last: {said}. Is the server up? python -m vision_research.doctor storage=s3"
        )
    if failure.code in _NOT_FOUND:
        return S3NotFoundError(f"There is no {uri} ({settings.where}).")
    if failure.code in _DENIED:
        return S3DeniedError(
            f"Access denied: {action} on {uri}. Allow it to whom the credentials belong to, or use others."
        )
    return S3Error(_words(failure, action, uri, settings))


def _words(failure: Failure, action: str, uri: S3Uri, settings: S3Settings) -> str:
    code = failure.code
    if code == "NoSuchBucket":
        return f"There is no bucket {uri.bucket!r} at {settings.where}. Check the address, or make the bucket."
    if code in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"):
        detail = failure.detail.rstrip(".")
        return (
            f"No credentials for {uri}: {detail}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment,"
            " or name a profile of ~/.aws: storage.profile=NAME."
        )
    if code == "ProfileNotFound":
        return f"storage.profile={settings.profile}: {failure.detail}. Add it to ~/.aws/config, or name another one."
    if code == "InvalidRegionError":
        return f"storage.region={settings.region}: {failure.detail} One looks like eu-west-1."
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
        return f"{settings.where} does not accept the credentials ({code}). Check the access key and its secret."
    if code in EXPIRED:
        return f"The credentials for {uri} have expired ({code}). Renew them, for instance: aws sso login."
    if code == "RequestTimeTooSkewed":
        return (
            f"{settings.where} refuses requests since this machine's clock is wrong. Set it: timedatectl set-ntp true."
        )
    if code in _WRONG_REGION:
        told = failure.region or "the bucket's region"
        return f"{uri.bucket!r} is not in the region asked. Type: storage.region={told}"
    if code == "SSLError":
        return f"No trusted connection to {settings.where}: {failure.detail}"
    return f"{action} on {uri} failed: {code} {failure.detail} ({settings.where})".rstrip()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
