"""Composes the configuration: Hydra turns groups and overrides into one typed tree, once, in the parent process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from vision_research.config.command_schema import COMMAND_SCHEMAS
from vision_research.config.errors import ConfigError, UserError
from vision_research.config.hints import explain, unknown_keys
from vision_research.config.resolvers import FindMonitor, register_resolvers
from vision_research.config.schema import TrainConfig
from vision_research.config.secrets import refuse_credentials, secret_problems
from vision_research.config.sweep_check import check_sweep
from vision_research.config.zoo import ZooConfigSource, register_zoo
from vision_research.work_dir import WorkDir

SCHEMAS = {"train": TrainConfig, **COMMAND_SCHEMAS}
# Groups whose choice is recorded with a run.
GROUPS = ("model", "data", "aug", "schedule", "hw", "tracking", "storage", "export", "experiment", "debug")
# What OmegaConf puts before the message of a resolver's ValueError.
RESOLVER_PREFIX = "ValueError raised while resolving interpolation: "

ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True)
class Composition(Generic[ConfigT]):
    """The composed configuration of a command.

    Attributes:
        config: the typed tree.
        yaml: the same tree, resolved, as YAML.
        overrides: what was typed, without overrides of Hydra's own config.
        choices: the option chosen in each config group.
        sweep_dir: folder of the sweep that this run belongs to, or None.
        job_name: number of the job within its sweep; empty without a sweep.
    """

    config: ConfigT
    yaml: str
    overrides: tuple[str, ...]
    choices: Mapping[str, str]
    sweep_dir: Path | None
    job_name: str


def conf_dir() -> Path:
    """Return the folder of the config groups: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    return next(folder for folder in (package / "conf", package.parent / "conf") if folder.is_dir())


def register(find_monitor: FindMonitor | None = None, commands: Collection[str] = tuple(SCHEMAS)) -> None:
    """Register our schemas, resolvers and config sources with Hydra; may be called repeatedly.

    Args:
        find_monitor: resolves `${monitor:}` of a training.
        commands: whose schemas to register; all of them take a tenth of the time of a composition.
    """
    register_zoo()
    register_resolvers(find_monitor)
    for name in commands:
        ConfigStore.instance().store(f"schema_{name}", SCHEMAS[name])


def command(
    config_name: str, find_monitor: FindMonitor | None = None
) -> Callable[[Callable[[Composition[Any]], float | None]], Callable[[], None]]:
    """Turn a function into a command: Hydra parses the command line, and a `UserError` becomes an exit message.

    Args:
        config_name: file in `conf/` that lists the defaults; its schema is `schema_<config_name>`.
        find_monitor: resolves `${monitor:}` of a training.
    """

    def decorate(function: Callable[[Composition[Any]], float | None]) -> Callable[[], None]:
        def job(tree: DictConfig) -> float | None:
            try:
                return function(composition(tree))
            except UserError as error:
                if HydraConfig.get().mode is RunMode.MULTIRUN:
                    raise  # Hydra records the failure and starts the next job
                sys.exit(str(error))

        def main() -> None:
            register(find_monitor, [config_name])
            sys.argv[1:] = replay_overrides(flags_first(sys.argv[1:]))
            ZooConfigSource.is_completing = bool({"--shell-completion", "-sc"} & {*sys.argv})
            with _refusals_explained():
                refuse_credentials(sys.argv[1:])
                check_sweep(sys.argv[1:], conf_dir(), config_name)
                hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(job)()

        return main

    return decorate


@contextmanager
def _refusals_explained() -> Iterator[None]:
    """Replace Hydra's errors about an override by a message that says what to type.

    Hydra prints its own errors and exits; it raises them only where HYDRA_FULL_ERROR is 1.
    """
    before = os.environ.get("HYDRA_FULL_ERROR")
    if before not in (None, "", "0"):
        yield
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    except UserError as error:
        sys.exit(str(error))
    except Exception as error:
        explained = explain(error, sys.argv[1:])
        if explained is None:
            raise
        sys.exit(explained)
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


def composition(tree: DictConfig) -> Composition[Any]:
    """Convert Hydra's tree to the typed one.

    Raises:
        ConfigError: mandatory values are missing, keys are unknown, or an interpolation cannot be resolved.
    """
    hydra_tree = HydraConfig.get()
    try:
        if missing := sorted(OmegaConf.missing_keys(tree)):
            raise ConfigError([f"{key} is not set. Type {key}=VALUE" for key in missing])
        config = OmegaConf.to_object(tree)
        text = OmegaConf.to_yaml(tree, resolve=True)
    except OmegaConfBaseException as error:
        # OmegaConf wraps the message of a resolver.
        raise ConfigError(str(error).splitlines()[0].removeprefix(RESOLVER_PREFIX)) from error
    assert is_dataclass(config) and not isinstance(config, type), "the defaults of a command begin with its schema"
    if problems := [*unknown_keys(config), *secret_problems(asdict(config))]:
        raise ConfigError(problems)
    sweeping = hydra_tree.mode is RunMode.MULTIRUN
    return Composition(
        config=config,
        yaml=text,
        overrides=tuple(hydra_tree.overrides.task),
        choices={group: str(hydra_tree.runtime.choices.get(group)) for group in GROUPS},
        sweep_dir=Path(hydra_tree.sweep.dir).absolute() if sweeping else None,
        job_name=str(hydra_tree.job.num) if sweeping else "",
    )


def flags_first(argv: list[str]) -> list[str]:
    """Move `-m` to the front: Hydra's parser accepts it before or after the overrides, but not between them."""
    flags = [word for word in argv if word in ("-m", "--multirun")]
    return flags[:1] + [word for word in argv if word not in ("-m", "--multirun")]


def replay_overrides(argv: list[str]) -> list[str]:
    """Prepend a resumed run's recorded overrides to what is typed with `resume=WORK_DIR`.

    `resume=runs/x` resumes that run as it was; `resume=runs/x schedule.max_epochs=24` changes its length.
    """
    resumed = [word.partition("=")[2].strip("'\"") for word in argv if word.startswith("resume=")]
    if not resumed or "-m" in argv or "--multirun" in argv:
        return argv
    recorded = WorkDir(Path(resumed[-1])).overrides
    if not recorded.is_file():
        return argv
    own = [line for line in recorded.read_text().splitlines() if line and key_of(line) not in ("resume", "work_dir")]
    typed = {key_of(word) for word in argv}
    return [line for line in own if key_of(line) not in typed] + argv


def key_of(override: str) -> str:
    """Return the key that an override sets: `model` of `model=retinanet`."""
    return override.partition("=")[0].lstrip("+~")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the composed tree that a run has written."""
    tree = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    assert isinstance(tree, dict), f"{path} is no tree of keys"
    return {str(key): value for key, value in tree.items()}


def read_config(path: Path) -> TrainConfig:
    """Read the typed tree that a run has written.

    Raises:
        ConfigError: the file does not fit the schema of this version.
    """
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TrainConfig), read_yaml(path)))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{path}: it was written by another version ({str(error).splitlines()[0]})") from error
    assert isinstance(config, TrainConfig)
    return config


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
