"""Turns Hydra's errors about an override into messages that name what is allowed, and the nearest match."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from vision_research.config.zoo import zoo_options
from vision_research.config.zoo_entries import ENTRIES


def explain(error: BaseException, words: Sequence[str]) -> str | None:
    """Turn an error of Hydra or OmegaConf into one message.

    Args:
        error: what composing raised.
        words: the command line after the program's name.

    Returns:
        The override, what is allowed in its place, and what to type; None where the error is not about an override.
    """
    if isinstance(error, MissingConfigException):
        return _option(error)
    if isinstance(error, OverrideParseException):
        return _unreadable(error)
    cause = error.__cause__
    if isinstance(error, HydraException) and isinstance(cause, (ConfigAttributeError, ConfigKeyError)):
        return _key(cause, _typed(str(cause.full_key), words))
    if isinstance(error, HydraException) and isinstance(cause, ValidationError):
        return f"{_typed(str(cause.full_key), words)}: {_first_line(cause)}"
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return "\n".join([str(error), *([_first_line(cause)] if isinstance(cause, OmegaConfBaseException) else [])])
    return None


def unknown_keys(node: Any, path: str = "") -> Iterator[str]:
    """Name the keys that `+key=value` has added although the schema does not define them.

    Args:
        node: the typed tree, or a part of it.
        path: path of `node` in the tree.
    """
    if not is_dataclass(node):
        return
    known, prefix = [field.name for field in fields(node)], f"{path}." if path else ""
    for name, value in vars(node).items():
        if name not in known:
            yield f"+{prefix}{name}: there is no such key.{did_you_mean(name, known, prefix)}"
        else:
            yield from unknown_keys(value, prefix + name)


def did_you_mean(word: str, allowed: Iterable[str], prefix: str = "") -> str:
    """Return " Did you mean ...?" with the nearest allowed names, or an empty string where none is near.

    Args:
        word: what was typed.
        allowed: the names that are allowed.
        prefix: put before the names.
    """
    near = difflib.get_close_matches(word, list(allowed), n=3, cutoff=0.6)
    return f" Did you mean {', '.join(prefix + name for name in near)}?" if near else ""


def _option(error: MissingConfigException) -> str:
    missing = error.missing_cfg_file or ""
    group, _, name = missing.partition("/")
    if group in ENTRIES and name.startswith("zoo/"):
        options = [f"zoo/{entry}" for entry in zoo_options()]
        listed = f"{len(options)} configs of MMDetection, such as {options[0]}"
    else:
        (group, _, name), options = missing.rpartition("/"), list(error.options or [])
        listed = f"{', '.join(options)}{', zoo/FAMILY/CONFIG' if group in ENTRIES else ''}"
    if not group:
        return str(error)
    hint = did_you_mean(name, options, f"{group}=")
    return f"{group}={name}: there is no such option.{hint}\nAvailable options in '{group}': {listed}"


def _key(error: ConfigAttributeError | ConfigKeyError, typed: str) -> str:
    name, parent = str(error.key), error.parent_node
    path, dot, _ = str(error.full_key).rpartition(".")
    # Hydra's own section is not offered.
    allowed = sorted(str(key) for key in parent if key != "hydra") if isinstance(parent, DictConfig) else []
    where = f"in {path!r}" if path else "at the top"
    lines = [f"{typed}: there is no key {name!r} {where}.{did_you_mean(name, allowed, path + dot)}"]
    if allowed:
        lines.append(f"Available keys {where}: {', '.join(allowed)}")
    if error.object_type is dict:
        lines.append(f"To add it all the same, type +{typed}")
    return "\n".join(lines)


def _unreadable(error: OverrideParseException) -> str:
    key, _, value = error.override.partition("=")
    if not value:
        return f"{error.override}: is no KEY=VALUE. Type {key}=VALUE"
    if value.startswith("("):
        return f"{error.override}: lists are written in brackets. Type '{key}=[{value.strip('()')}]'"
    return f"{error.override}: cannot be read. Quote the value: '{key}=\"{value}\"'"


def _typed(key: str, words: Sequence[str]) -> str:
    """Return the last override that set `key` or a key below it."""
    return next((word for word in reversed(words) if word.lstrip("+~").startswith(key)), key)


def _first_line(error: BaseException | None) -> str:
    return str(error).splitlines()[0]
