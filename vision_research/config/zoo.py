"""MMDetection's own configs as Hydra config groups: `model=zoo/<family>/<config>`.

A Hydra `ConfigSource` lists the folder that mmdet ships and loads one of its files through `mmengine.Config`, so that
no hyperparameter is ever copied by hand. It imports neither torch nor mmdet: listing looks at file names only.
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

from vision_research.config.recipe import model_entry

SCHEME = "mmdet"
GROUP = "model/zoo"


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
    """List the configs of MMDetection as they are typed after `zoo/`, sorted; nothing where there is no zoo."""
    try:
        files = zoo_folder().glob("[!_]*/*.py")
    except FileNotFoundError:
        return []
    return sorted(f"{file.parent.name}/{file.stem}" for file in files)


class ZooConfigSource(ConfigSource):
    """Serves the groups below `model/zoo` from MMDetection's config files."""

    @staticmethod
    def scheme() -> str:
        """Return the scheme that `hydra.searchpath` names this source by."""
        return SCHEME

    def available(self) -> bool:
        """Tell whether there is a zoo on this machine."""
        try:
            return zoo_folder().is_dir()
        except FileNotFoundError:
            return False

    def is_group(self, config_path: str) -> bool:
        """Tell whether the path is a folder of configs."""
        if config_path.rstrip("/") in ("", "model"):
            return True
        relative = _inside_zoo(config_path)
        return relative is not None and (zoo_folder() / relative).is_dir() and not relative.startswith("_base_")

    def is_config(self, config_path: str) -> bool:
        """Tell whether the path is one config file."""
        relative = _inside_zoo(config_path)
        return bool(relative) and self._file(str(relative)).is_file() and not str(relative).startswith("_base_")

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """List the groups or configs in a folder, sorted."""
        if config_path.rstrip("/") in ("", "model"):
            child = "model" if not config_path.rstrip("/") else "zoo"
            return [] if results_filter == ObjectType.CONFIG else [child]
        relative = _inside_zoo(config_path)
        if relative is None or not self.is_group(config_path):
            return []
        names = set()
        for entry in (zoo_folder() / relative).iterdir():
            is_group = entry.is_dir() and not entry.name.startswith("_")
            if is_group and results_filter != ObjectType.CONFIG:
                names.add(entry.name)
            if entry.suffix == ".py" and results_filter != ObjectType.GROUP:
                names.add(entry.stem)
        return sorted(names)

    def load_config(self, config_path: str) -> ConfigResult:
        """Load one entry as the content of the `model` group."""
        relative = _inside_zoo(config_path)
        if relative is None or not self._file(relative).is_file():
            raise ConfigLoadError(f"Config not found : {config_path}")
        name = relative.removesuffix(".py").removesuffix(".yaml")
        entry = model_entry(_read(self._file(name)), name)
        return ConfigResult(
            config=OmegaConf.create(entry),
            path=f"{SCHEME}://{name}",
            provider=self.provider,
            header={"package": None},
        )

    @staticmethod
    def _file(relative: str) -> Path:
        return zoo_folder() / f"{relative.removesuffix('.yaml').removesuffix('.py')}.py"


def register_zoo() -> None:
    """Make the scheme `mmdet://` known to Hydra; calling it twice does no harm."""
    plugins = Plugins.instance()
    if ZooConfigSource not in plugins.discover(ConfigSource):
        plugins.register(ZooConfigSource)


def _inside_zoo(config_path: str) -> str | None:
    path = config_path.strip("/")
    if path == GROUP:
        return ""
    return path.removeprefix(f"{GROUP}/") if path.startswith(f"{GROUP}/") else None


def _read(file: Path) -> dict[str, Any]:
    from mmengine.config import Config

    try:
        tree: dict[str, Any] = Config.fromfile(file, import_custom_modules=False).to_dict()
    except Exception as error:
        raise ConfigLoadError(f"MMDetection's own config {file.name} does not load here: {error}") from error
    return tree
