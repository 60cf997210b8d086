"""Recognises credentials in a config: it is written to disk and to MLflow, where many people can read it.

detect-secrets 1.5.0 was tried instead: it also reports git hashes and URLs of checkpoints, and its import takes 0.6 s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict

from vision_research.config.schema import TrainConfig
from vision_research.config.tree import walk

# An AWS access key, a signed address, a private key, a password in an address.
_KNOWN = re.compile(
    r"\b(AKIA|ASIA|AROA)[0-9A-Z]{16}\b|X-Amz-(Signature|Credential|Security-Token)=|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|^s3://[^/]*:[^/]*@"
)
_SECRET = re.compile(r"(?<![\w/+=.-])[A-Za-z0-9/+]{40}(?![\w/+=.-])")
_NAMED = re.compile(r"secret|password|passwd|access_?key|session_?token|api_?key", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"^https?://[^/@\s]+@")
# In random base64, two of three characters are of another kind (upper case, lower case, digit) than the one before;
# in words and hashes fewer are.
_CHANGES_OF_RANDOM_TEXT = 16


def secret_problems(config: TrainConfig) -> Iterator[str]:
    """Yield a problem for each key whose value looks like a credential; the message does not contain the value."""
    for key, value in walk(asdict(config)):
        if isinstance(value, str) and value and _is_secret(key, value):
            yield (
                f"{key}: its value looks like a credential, and a config is written down and recorded. Take it out, "
                "revoke it if it was real, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or "
                "name a profile of ~/.aws: storage.profile=NAME"
            )


def _is_secret(key: str, value: str) -> bool:
    # An entry of a list has the name of the list.
    name = next((part for part in reversed(key.split(".")) if not part.isdecimal()), "")
    if _KNOWN.search(value) or _NAMED.search(name):
        return True
    if key == "storage.endpoint_url" and _PASSWORD_IN_URL.match(value):
        return True
    return any(_changes(found[0]) >= _CHANGES_OF_RANDOM_TEXT for found in _SECRET.finditer(value))


def _changes(text: str) -> int:
    """Count the characters that are of another kind (upper case, lower case, digit, sign) than the one before."""
    kinds = ["A" if sign.isupper() else "a" if sign.islower() else "0" if sign.isdigit() else "/" for sign in text]
    if len(set(kinds) - {"/"}) < 3:
        return 0
    return sum(before != after for before, after in zip(kinds, kinds[1:], strict=False))
