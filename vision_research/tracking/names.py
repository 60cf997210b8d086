"""Names that MLflow accepts: a unique spelling for every metric, param and tag key.

Refused characters are escaped as `_xHHHH_` (ISO 9075-14), because MLflow refuses `%` and all other usual escapes too.
"""

from __future__ import annotations

import hashlib
import re

# mlflow/utils/validation.py: MAX_ENTITY_KEY_LENGTH; a test compares the two.
MAX_KEY_LENGTH = 250

_REFUSED = re.compile(r"[^A-Za-z0-9_\-. :/]")
_LOOKS_ESCAPED = re.compile(r"_(?=x[0-9A-F]{4,6}_)")


def metric_name(text: str) -> str:
    """Spell any name, with `/` between its levels, as MLflow accepts it; two different names never become the same.

    Letters, digits and `_ - . space : /` are kept. All other characters are escaped, and so are path parts that MLflow
    would merge (`a//b`, `.`, `..`). A name over `MAX_KEY_LENGTH` is cut, and ends in a digest of all of it.
    """
    return _shorten("/".join(_path_part(part) for part in text.split("/")))


def name_below(prefix: str, text: str) -> str:
    """Spell a name, such as that of a class, as one level below a prefix: a `/` in it is escaped too.

    Args:
        prefix: as MLflow accepts it.
        text: any name.
    """
    return _shorten(f"{prefix}/{_path_part(text).replace('/', _escape('/'))}")


def _path_part(part: str) -> str:
    safe = _LOOKS_ESCAPED.sub(_escape("_"), part)
    safe = _REFUSED.sub(lambda match: _escape(match.group()), safe)
    if not safe:
        # An empty part is written as an escaped NUL, because posixpath.normpath would drop it.
        return _escape("\0")
    if set(safe) == {"."}:
        return "".join(_escape(dot) for dot in safe)
    return safe


def _escape(character: str) -> str:
    return f"_x{ord(character):04X}_"


def _shorten(name: str) -> str:
    if len(name) <= MAX_KEY_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: MAX_KEY_LENGTH - 13]}-{digest}"
