"""MMDetection's own configs as options of Hydra config groups: `model=zoo/<family>/<config>`.

A Hydra `ConfigSource` lists the folder that mmdet ships and loads its files through `mmengine.Config`. It imports
neither torch nor mmdet: listing reads file names only.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from vision_research.config.zoo_cache import cached_entry
from vision_research.config.zoo_entries import ENTRIES

SCHEME = "mmdet"
# What to type to install a package that some files import.
EXTRAS = {"mmpretrain": "python -m pip install 'vision-research[mmpretrain]'"}
# Python files in the folder that are not configs.
PROGRAMS = ("override_category",)


@cache
def zoo_folder() -> Path:
    """Return the folder of MMDetection's configs.

    Raises:
        FileNotFoundError: mmdet is not installed, or came without its configs.
    """
    spec = find_spec("mmdet")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("mmdet is not installed: python -m vision_research.doctor says what to type")
    package = Path(spec.origin).parent
    for folder in (package / ".mim" / "configs", package.parent / "configs"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"mmdet in {package} came without its configs: pip install --force-reinstall mmdet==3.3.0")


def zoo_options() -> list[str]:
    """List the configs of MMDetection as they are typed after `zoo/`, sorted; empty without a zoo."""
    try:
        files = sorted(zoo_folder().glob("[!_]*/**/*.py"))
    except FileNotFoundError:
        return []
    names = (file.relative_to(zoo_folder()).with_suffix("") for file in files if file.stem not in PROGRAMS)
    return [name.as_posix() for name in names]


class ZooConfigSource(ConfigSource):
    """Serves the groups `model/zoo`, `schedule/zoo`, `aug/zoo`, `data/zoo` and `experiment/zoo`.

    Attributes:
        is_completing: list every zoo entry as an option of its group. Shell completion needs this; elsewhere it would
            make `model=glob(*)` of a sweep include the zoo.
    """

    is_completing = False

    @staticmethod
    def scheme() -> str:
        """Return the scheme of this source in `hydra.searchpath`."""
        return SCHEME

    def available(self) -> bool:
        """Return whether MMDetection's configs are installed."""
        try:
            return zoo_folder().is_dir()
        except FileNotFoundError:
            return False

    def is_group(self, config_path: str) -> bool:
        """Return whether the path is a folder of configs."""
        if config_path.rstrip("/") in ("", *ENTRIES):
            return True
        _, relative = _inside_zoo(config_path)
        return relative is not None and (zoo_folder() / relative).is_dir() and not relative.startswith("_base_")

    def is_config(self, config_path: str) -> bool:
        """Return whether the path is a config file."""
        _, relative = _inside_zoo(config_path)
        return bool(relative) and _is_config(self._file(str(relative)))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """List the groups and configs in a folder, sorted.

        Args:
            config_path: the folder.
            results_filter: list only groups or only configs.
        """
        if config_path.rstrip("/") in ("", *ENTRIES):
            children = ["zoo"] if config_path.rstrip("/") else sorted(ENTRIES)
            if results_filter != ObjectType.CONFIG:
                return children
            return [f"zoo/{name}" for name in zoo_options()] if self.is_completing and config_path.rstrip("/") else []
        _, relative = _inside_zoo(config_path)
        if relative is None or not self.is_group(config_path):
            return []
        names = set()
        for entry in (zoo_folder() / relative).iterdir():
            is_group = entry.is_dir() and not entry.name.startswith("_")
            if is_group and results_filter != ObjectType.CONFIG:
                names.add(entry.name)
            if _is_config(entry) and results_filter != ObjectType.GROUP:
                names.add(entry.stem)
        return sorted(names)

    def load_config(self, config_path: str) -> ConfigResult:
        """Load a zoo file as an option of a group."""
        group, relative = _inside_zoo(config_path)
        if relative is None or not _is_config(self._file(relative)):
            raise ConfigLoadError(f"Config not found : {config_path}")
        name = relative.removesuffix(".py").removesuffix(".yaml")
        try:
            file = self._file(name)
            entry = cached_entry(group, file, name, lambda: ENTRIES[group](_read(file), name))
        except KeyError as error:
            raise ConfigLoadError(f"{group}={error.args[0]}. Type another {group}=zoo/FAMILY/CONFIG") from error
        return ConfigResult(
            config=OmegaConf.create(entry),
            path=f"{SCHEME}://{name}",
            provider=self.provider,
            header={"package": "_global_" if group == "experiment" else None},
        )

    @staticmethod
    def _file(relative: str) -> Path:
        return zoo_folder() / f"{relative.removesuffix('.yaml').removesuffix('.py')}.py"


def register_zoo() -> None:
    """Register the scheme `mmdet://` with Hydra; may be called repeatedly."""
    plugins = Plugins.instance()
    if ZooConfigSource not in plugins.discover(ConfigSource):
        plugins.register(ZooConfigSource)


def _is_config(file: Path) -> bool:
    inside = file.relative_to(zoo_folder()).parts
    is_part = inside[0].startswith("_") or file.stem in PROGRAMS
    return file.suffix == ".py" and not is_part and file.is_file()


def _inside_zoo(config_path: str) -> tuple[str, str | None]:
    """Split a path into its group and the path inside of the zoo; the latter is None for a path outside of it."""
    group, _, rest = config_path.strip("/").partition("/")
    if group not in ENTRIES or not (rest == "zoo" or rest.startswith("zoo/")):
        return group, None
    return group, rest.removeprefix("zoo").lstrip("/")


@cache
def _read(file: Path) -> dict[str, Any]:
    from mmengine.config import Config

    try:
        tree: dict[str, Any] = Config.fromfile(file, import_custom_modules=False).to_dict()
    except ModuleNotFoundError as error:
        # MMEngine names the package only in the message.
        package = next((name for name in EXTRAS if name in str(error)), str(error.name))
        name = file.relative_to(zoo_folder()).with_suffix("").as_posix()
        raise ConfigLoadError(
            f"zoo/{name}: needs {package}, which is not installed. Type {EXTRAS.get(package, f'pip install {package}')}"
        ) from error
    except Exception as error:
        raise ConfigLoadError(f"MMDetection's own config {file.name} does not load here: {error}") from error
    return tree
