"""Recognises credentials in a config, where everybody would read them: it is written to disk and recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from vision_research.config.schema import TrainConfig

# A key of AWS, a signed address, a private key, a password in an address.
_KNOWN = re.compile(
    r"\b(AKIA|ASIA|AROA)[0-9A-Z]{16}\b|X-Amz-(Signature|Credential|Security-Token)=|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|^s3://[^/]*:[^/]*@"
)
_SECRET = re.compile(r"(?<![\w/+=.-])[A-Za-z0-9/+]{40}(?![\w/+=.-])")
_NAMED = re.compile(r"secret|password|passwd|access_?key|session_?token|api_?key", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"^https?://[^/@\s]+@")
# Random base64 changes between capitals, small letters and digits at two of three characters; words and hashes do not.
_CHANGES_OF_RANDOM_TEXT = 16


def secret_problems(config: TrainConfig) -> Iterator[str]:
    """Name the keys whose values look like credentials; the values themselves are not repeated."""
    for key, value in _texts(asdict(config), ""):
        if _is_secret(key, value):
            yield (
                f"{key}: its value looks like a credential, and a config is written down and recorded. Take it out, "
                "revoke it if it was real, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or "
                "name a profile of ~/.aws: storage.profile=NAME"
            )


def _texts(node: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _texts(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _texts(value, f"{path}[{index}]")
    elif isinstance(node, str) and node:
        yield path, node


def _is_secret(key: str, value: str) -> bool:
    if _KNOWN.search(value) or _NAMED.search(key.rpartition(".")[2]):
        return True
    if key == "storage.endpoint_url" and _PASSWORD_IN_URL.match(value):
        return True
    return any(_changes(found[0]) >= _CHANGES_OF_RANDOM_TEXT for found in _SECRET.finditer(value))


def _changes(text: str) -> int:
    """Count the places where a capital, a small letter, a digit or a sign is followed by another of these."""
    kinds = ["A" if sign.isupper() else "a" if sign.islower() else "0" if sign.isdigit() else "/" for sign in text]
    if len(set(kinds) - {"/"}) < 3:
        return 0
    return sum(before != after for before, after in zip(kinds, kinds[1:], strict=False))
