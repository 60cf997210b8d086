"""Downloads runs from their copies in S3 (`resume=s3://...`), and experiments (`experiment=s3://.../NAME.yaml`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vision_research.config.addresses import is_s3
from vision_research.config.compose import add_experiment
from vision_research.config.errors import ConfigError
from vision_research.config.schema import StorageConfig
from vision_research.launch.run_folder import folder_of_copy
from vision_research.storage.s3.errors import S3NotFoundError
from vision_research.storage.s3.mirror import download_run, has_run
from vision_research.storage.s3.reader import read_uncached
from vision_research.storage.s3.settings import S3Settings, default_settings
from vision_research.storage.s3.uri import S3Uri
from vision_research.work_dir import WorkDir, write_atomic

# Keys of `storage` that are needed before the configuration of the run can be read.
_SETTINGS = {"endpoint_url": str, "region": str, "profile": str, "give_up_after_s": float}


def resume_words(argv: Sequence[str]) -> list[str]:
    """Download the run of `resume=s3://...`, and return the words with its local folder in place of the address.

    This happens before the composition, since the overrides of the run are in its folder.

    Raises:
        ConfigError: there is no run.
        S3Error: reading it failed.
    """
    typed = dict(word.partition("=")[::2] for word in argv)
    address = typed.get("resume", "").strip("'\"")
    if not is_s3(address):
        return list(argv)
    folder = fetch_run("resume", address, typed.get("storage.runs", StorageConfig.runs), _typed_settings(argv))
    return [f"resume={folder}" if word.startswith("resume=") else word for word in argv]


def _typed_settings(words: Sequence[str]) -> S3Settings:
    """Return the S3 settings in the overrides, for what is read before the composition."""
    typed = dict(word.partition("=")[::2] for word in words)
    return default_settings(
        **{key: make(typed[f"storage.{key}"]) for key, make in _SETTINGS.items() if f"storage.{key}" in typed}
    )


def fetch_run(key: str, address: str, runs: str, settings: S3Settings) -> Path:
    """Download the copy of a run.

    Args:
        key: of the address, for error messages.
        address: `s3://BUCKET/FOLDER` of the copy.
        runs: folder of all runs.
        settings: how S3 is reached.

    Returns:
        The folder of the run on this machine.

    Raises:
        ConfigError: there is no run at the address, or the local folder contains another one.
        S3Error: reading it failed.
    """
    typed, address = f"{key}={address}", address.rstrip("/")
    folder, remote = folder_of_copy(address, runs), S3Uri.parse(address)
    if not has_run(remote, settings):
        raise ConfigError(f"{typed}: there is no run in it (no config.py). Type the address of a run")
    here = WorkDir(folder)
    if here.config_py.is_file() and here.s3_address != address:
        raise ConfigError(f"{typed}: {folder} is another run. Type storage.runs=FOLDER, where that one can come to")
    download_run(remote, here, settings)
    write_atomic(here.s3_folder, f"{address}\n")
    return folder


def fetch_experiments(words: Sequence[str]) -> None:
    """Register the experiments in S3 that the overrides (also those of a resumed run) name, before Hydra looks them up.

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
        return read_uncached(uri, _typed_settings(words)).decode()
    except S3NotFoundError as error:
        raise ConfigError(f"experiment={address}: there is no {uri}. Type the address of a YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"experiment={address}: is no text. Type the address of a YAML file") from error
