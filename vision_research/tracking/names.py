"""Names that MLflow accepts: one reversible spelling for every metric, param and tag key.

Pure functions. The escape is the `_xHHHH_` of ISO 9075-14: MLflow refuses `%` and every other usual escape sign.
"""

from __future__ import annotations

import hashlib
import re

# mlflow/utils/validation.py: MAX_ENTITY_KEY_LENGTH; a test compares the two.
MAX_KEY_LENGTH = 250

_REFUSED = re.compile(r"[^A-Za-z0-9_\-. :/]")
_LOOKS_ESCAPED = re.compile(r"_(?=x[0-9A-F]{4,6}_)")
_ESCAPE = re.compile(r"_x([0-9A-F]{4,6})_")


def metric_name(text: str) -> str:
    """Spell a name as MLflow accepts it; two different names never become one.

    Letters, digits and `_ - . space : /` stay; everything else, and path parts that MLflow would fold together
    (`a//b`, `.`, `..`), are escaped. A name that is too long ends in a digest of the whole.

    Args:
        text: any name; `/` parts its levels.

    Returns:
        At most `MAX_KEY_LENGTH` ASCII characters.
    """
    return _shorten("/".join(_path_part(part) for part in text.split("/")))


def name_below(prefix: str, text: str) -> str:
    """Spell a name as one level below a prefix that MLflow accepts: its own `/` is escaped too (class names)."""
    return _shorten(f"{prefix}/{_path_part(text).replace('/', _escape('/'))}")


def original_name(name: str) -> str:
    """Undo `metric_name` (names that were not shortened)."""
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 16)) if int(match.group(1), 16) else "", name)


def _path_part(part: str) -> str:
    safe = _LOOKS_ESCAPED.sub(_escape("_"), part)
    safe = _REFUSED.sub(lambda match: _escape(match.group()), safe)
    if not safe:
        # NUL stands for "nothing": posixpath.normpath would drop an empty part.
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
