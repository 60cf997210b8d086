"""Loads experiments from S3: `experiment=s3://BUCKET/FOLDER/NAME.yaml`."""

from __future__ import annotations

from collections.abc import Sequence

from vision_research.config.addresses import is_s3
from vision_research.config.errors import ConfigError
from vision_research.config.experiments import add_experiment
from vision_research.flow.resume_from_s3 import typed_settings
from vision_research.storage.s3.errors import S3NotFoundError
from vision_research.storage.s3.reader import read_uncached
from vision_research.storage.s3.uri import S3Uri


def fetch_experiments(words: Sequence[str]) -> None:
    """Register the experiments in S3 that the overrides name, before Hydra looks them up.

    Args:
        words: all overrides, including those of a resumed run.

    Raises:
        ConfigError: there is no such object, or it is not an experiment.
        S3Error: reading it failed.
    """
    named = [word.partition("=")[2] for word in words if word.lstrip("+").startswith("experiment=")]
    for address in (item.strip("'\" ") for value in named for item in value.split(",")):
        if is_s3(address):
            add_experiment(address, _read(address, words))


def _read(address: str, words: Sequence[str]) -> str:
    uri = S3Uri.parse(address if address.endswith(".yaml") else f"{address}.yaml")
    try:
        return read_uncached(uri, typed_settings(words)).decode()
    except S3NotFoundError as error:
        raise ConfigError(f"experiment={address}: there is no {uri}. Type the address of a YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"experiment={address}: is no text. Type the address of a YAML file") from error
