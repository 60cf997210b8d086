"""Checks the overrides of a sweep before anything is recorded or written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType

from vision_research.config.errors import ConfigError

# A composition takes 0.2 s; the limit keeps the check of a sweep over many values short.
MAX_COMPOSED = 50


def check_sweep(words: Sequence[str], conf_dir: Path, config_name: str) -> None:
    """Compose the config with every value of a sweep once.

    Without this, Hydra creates the folder of the sweep, and its MLflow run is opened, before an override is checked.

    Args:
        words: the command line after the program's name.
        conf_dir: folder of the config groups.
        config_name: file in it that lists the defaults.

    Raises:
        ConfigError: the command also asks for the configuration of a single run.
        HydraException: an override names no key or option, or its value has a wrong type.
    """
    if not {"-m", "--multirun"} & set(words):
        return
    # Hydra's options take values too.
    arguments = get_args_parser().parse_known_args(words)[0]
    if arguments.cfg or arguments.info:
        raise ConfigError(
            "-m with --cfg or --info: these print what one run would use. Leave -m out, and type one value"
        )
    parsed = OverridesParser.create().parse_overrides(arguments.overrides)
    with hydra.initialize_config_dir(str(conf_dir), version_base="1.3"):
        for job in islice(_jobs([_values(override) for override in parsed]), MAX_COMPOSED):
            hydra.compose(config_name, job)


def _values(override: Override) -> list[str]:
    """Return one override per value; none where only a sweeper, or Hydra's config groups, can list the values."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP or not override.is_discrete_sweep():
        return []
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def _jobs(choices: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """Yield a job with all first values, then one for every further value: each value once, not each combination."""
    first = [values[0] for values in choices if values]
    yield first
    for values in choices:
        yield from ([*(word for word in first if word != values[0]), value] for value in values[1:])
