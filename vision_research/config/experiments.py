"""Registers experiments that are not in `conf/` as options of the config group `experiment`."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from yaml import YAMLError

from vision_research.config.errors import ConfigError


def add_experiment(address: str, text: str) -> None:
    """Register `experiment=ADDRESS` with Hydra.

    Args:
        address: as it is typed.
        text: content of the YAML file; like every experiment it applies to the whole tree (`# @package _global_`).

    Raises:
        ConfigError: the text is not YAML, or not a mapping.
    """
    try:
        tree = OmegaConf.create(text)
    except YAMLError as error:
        raise ConfigError(f"experiment={address}: is no YAML file ({' '.join(str(error).split())})") from error
    if not OmegaConf.is_dict(tree) or not tree:
        raise ConfigError(f"experiment={address}: holds no keys. Write it like a file of conf/experiment")
    folder, _, name = address.rpartition("/")
    # Hydra's lookup drops the empty part that `//` makes, so the stored group must not contain it.
    group = "/".join(["experiment", *filter(None, folder.split("/"))])
    ConfigStore.instance().store(name=name.removesuffix(".yaml"), node=tree, group=group, package="_global_")
