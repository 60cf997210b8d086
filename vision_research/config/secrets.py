"""Recognises credentials in words and configs: they are written to disk and to MLflow, where many people can read them.

detect-secrets 1.5.0 was tried instead: it also reports git hashes and URLs of checkpoints, and its import takes 0.6 s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vision_research.config.errors import ConfigError
from vision_research.config.tree import walk

# An AWS access key, a private key; a password, token or signature in an address.
_KNOWN = re.compile(
    r"\b(AKIA|ASIA|AROA)[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b[a-z][a-z0-9+.-]*://[^/@\s]*:[^/@\s]+@|\bhttps?://[^/@\s]+@"
    r"|[?&](X-Amz-(Signature|Credential|Security-Token)|[\w-]*(token|secret|password|passwd)|sig|signature|api_?key)=",
    re.IGNORECASE,
)
_SECRET = re.compile(r"(?<![\w/+=.-])[A-Za-z0-9/+]{40}(?![\w/+=.-])")
_NAMED = re.compile(
    r"secret|password|passwd|access_?key|session_?token|api_?key|auth_?token|(^|[_.-])token$", re.IGNORECASE
)
# In random base64, two of three characters are of another kind (upper case, lower case, digit) than the one before;
# in words and hashes fewer are.
_CHANGES_OF_RANDOM_TEXT = 16
# What to do instead, by the beginning of the key.
_REMEDIES: Mapping[str, str] = {
    "tracking.uri": "type the address without it, and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the "
    "environment (of a PostgreSQL store: PGPASSWORD, or ~/.pgpass)",
    "storage": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or name a profile of ~/.aws: "
    "storage.profile=NAME",
    "data": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, and type s3://BUCKET/FOLDER",
    "": "leave it out; a file behind an address that needs one is downloaded first, and typed as a path",
}


def refuse_credentials(words: Iterable[str]) -> None:
    """Raise `ConfigError` if a word of a command holds a credential, before anything is written.

    Args:
        words: `KEY=VALUE` and others.
    """
    pairs = [word.partition("=")[::2] for word in words]
    if problems := list(_problems((key.lstrip("+~"), value.strip("'\"")) for key, value in pairs)):
        raise ConfigError(problems)


def secret_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem for each key whose value looks like a credential; the message does not contain the value.

    Args:
        config: the composed tree of a command: values can come from files and the environment too.
    """
    yield from _problems((key, value) for key, value in walk(config) if isinstance(value, str))


def _problems(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for key, value in pairs:
        if value and _is_secret(key, value):
            remedy = next(text for prefix, text in _REMEDIES.items() if key.startswith(prefix))
            yield (
                f"{key}: its value looks like a credential, and a config is written down and recorded. Revoke it if it "
                f"was real, and {remedy}"
            )


def _is_secret(key: str, value: str) -> bool:
    # An entry of a list has the name of the list.
    name = next((part for part in reversed(key.split(".")) if not part.isdecimal()), "")
    if _KNOWN.search(value) or _NAMED.search(name):
        return True
    return any(_changes(found[0]) >= _CHANGES_OF_RANDOM_TEXT for found in _SECRET.finditer(value))


def _changes(text: str) -> int:
    """Count the characters that are of another kind (upper case, lower case, digit, sign) than the one before."""
    kinds = ["A" if sign.isupper() else "a" if sign.islower() else "0" if sign.isdigit() else "/" for sign in text]
    if len(set(kinds) - {"/"}) < 3:
        return 0
    return sum(before != after for before, after in zip(kinds, kinds[1:], strict=False))
