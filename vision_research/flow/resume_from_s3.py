"""Downloads a run from its copy in S3, to resume or evaluate it on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vision_research.config.addresses import is_s3
from vision_research.config.errors import ConfigError
from vision_research.config.schema import StorageConfig
from vision_research.launch.run_folder import folder_of_copy
from vision_research.storage.s3.mirror import download_run, has_run
from vision_research.storage.s3.settings import S3Settings, default_settings
from vision_research.storage.s3.uri import S3Uri
from vision_research.work_dir import WorkDir, write_atomic

# Keys of `storage` that are needed before the configuration of the run can be read.
_SETTINGS = {"endpoint_url": str, "region": str, "profile": str, "give_up_after_s": float}


def resume_words(argv: Sequence[str]) -> list[str]:
    """Download the run of `resume=s3://...`, and replace the address by its local folder.

    This happens before the composition, since the overrides of the run are in its folder.

    Args:
        argv: the command line after the program's name.

    Returns:
        The new command line.

    Raises:
        ConfigError: there is no run.
        S3Error: reading it failed.
    """
    typed = dict(word.partition("=")[::2] for word in argv)
    address = typed.get("resume", "").strip("'\"")
    if not is_s3(address):
        return list(argv)
    folder = fetch_run("resume", address, typed.get("storage.runs", StorageConfig.runs), typed_settings(argv))
    return [f"resume={folder}" if word.startswith("resume=") else word for word in argv]


def typed_settings(words: Sequence[str]) -> S3Settings:
    """Return the S3 settings in the overrides, for what is read before the composition."""
    typed = dict(word.partition("=")[::2] for word in words)
    return default_settings(
        **{key: make(typed[f"storage.{key}"]) for key, make in _SETTINGS.items() if f"storage.{key}" in typed}
    )


def fetch_run(key: str, address: str, runs: str, settings: S3Settings) -> Path:
    """Download the copy of a run; return its local folder.

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
    noted = here.s3_folder.read_text(encoding="utf-8").strip() if here.s3_folder.is_file() else None
    if here.config_py.is_file() and noted != address:
        raise ConfigError(f"{typed}: {folder} is another run. Type storage.runs=FOLDER, where that one can come to")
    download_run(remote, here, settings)
    write_atomic(here.s3_folder, f"{address}\n")
    return folder
