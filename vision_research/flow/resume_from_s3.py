"""A run that comes back from its copy in S3, to go on on this machine, or to be looked at there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vision_research.config.addresses import is_s3
from vision_research.config.errors import ConfigError
from vision_research.config.schema import StorageConfig
from vision_research.flow.run_folder import folder_of_copy
from vision_research.storage.s3.mirror import bring_back, has_run
from vision_research.storage.s3.settings import S3Settings, default_settings
from vision_research.storage.s3.uri import S3Uri
from vision_research.work_dir import WorkDir, write_atomic

# What has to be known to reach a run before its own words can be read.
_SETTINGS = {"endpoint_url": str, "region": str, "profile": str, "give_up_after_s": float}


def resume_words(argv: Sequence[str], runs: str = StorageConfig.runs) -> list[str]:
    """Bring a run back that is to be resumed from S3, and name its folder here in the words typed.

    This comes before anything is composed: what the run was started with is in its folder.

    Args:
        argv: the words of the command.
        runs: folder of runs, where `storage.runs` is not typed.

    Raises:
        ConfigError: there is no run.
        S3Error: it may not be read, or the server was away for too long.
    """
    typed = dict(word.partition("=")[::2] for word in argv)
    address = typed.get("resume", "").strip("'\"")
    if not is_s3(address):
        return list(argv)
    folder = bring(f"resume={address}", typed.get("storage.runs", runs), typed_settings(argv))
    return [f"resume={folder}" if word.startswith("resume=") else word for word in argv]


def typed_settings(words: Sequence[str]) -> S3Settings:
    """Return how S3 is reached, as far as it is typed: for what is read before the words are composed."""
    typed = dict(word.partition("=")[::2] for word in words)
    return default_settings(
        **{key: make(typed[f"storage.{key}"]) for key, make in _SETTINGS.items() if f"storage.{key}" in typed}
    )


def bring(typed: str, runs: str, settings: S3Settings) -> Path:
    """Make the folder of a run on this machine from its copy; return it.

    Args:
        typed: `KEY=ADDRESS`, as it is to be named in an error.
        runs: folder of runs.
        settings: how S3 is reached.

    Raises:
        ConfigError: there is no run, or another one in its place here.
        S3Error: it may not be read, or the server was away for too long.
    """
    address = typed.partition("=")[2].rstrip("/")
    folder, remote = folder_of_copy(address, runs), S3Uri.parse(address)
    if not has_run(remote, settings):
        raise ConfigError(f"{typed}: there is no run in it (no config.py). Type the address of a run")
    here = WorkDir(folder)
    noted = here.s3_folder.read_text(encoding="utf-8").strip() if here.s3_folder.is_file() else None
    if here.config_py.is_file() and noted != address:
        raise ConfigError(f"{typed}: {folder} is another run. Type storage.runs=FOLDER, where that one can come to")
    bring_back(remote, here, settings)
    write_atomic(here.s3_folder, f"{address}\n")
    return folder
