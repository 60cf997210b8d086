"""Experiments that lie outside of `conf/`: their text becomes an option of the config group `experiment`."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from yaml import YAMLError

from vision_research.config.errors import ConfigError


def add_experiment(address: str, text: str) -> None:
    """Make `experiment=ADDRESS` known to Hydra.

    Args:
        address: as it is typed.
        text: the YAML file; as every experiment, it speaks of the whole tree (`# @package _global_`).

    Raises:
        ConfigError: it is no YAML, or no tree of keys.
    """
    try:
        tree = OmegaConf.create(text)
    except YAMLError as error:
        raise ConfigError(f"experiment={address}: is no YAML file ({' '.join(str(error).split())})") from error
    if not OmegaConf.is_dict(tree) or not tree:
        raise ConfigError(f"experiment={address}: holds no keys. Write it like a file of conf/experiment")
    folder, _, name = address.rpartition("/")
    # What Hydra looks up passes over the empty folder that `//` names; what is stored has to be without it.
    group = "/".join(["experiment", *filter(None, folder.split("/"))])
    ConfigStore.instance().store(name=name.removesuffix(".yaml"), node=tree, group=group, package="_global_")
