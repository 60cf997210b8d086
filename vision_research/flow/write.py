"""Writes the files of a run's folder, which later steps read."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import distributions
from typing import Any

from vision_research.flow.prepare import PreparedRun
from vision_research.work_dir import write_atomic, write_json


def write_folder(run: PreparedRun) -> None:
    """Write `config.yaml`, `config.py`, `overrides.txt`, `launch.json` and `environment.txt`."""
    work_dir = run.work_dir
    overrides = [word for word in run.composition.overrides if not word.startswith(("resume=", "+resume="))]
    write_atomic(work_dir.overrides, "".join(f"{word}\n" for word in overrides))
    write_atomic(work_dir.config_yaml, run.composition.yaml)
    write_atomic(work_dir.config_py, config_text(run.mmengine))
    write_atomic(work_dir.environment, "\n".join(installed_packages()) + "\n")
    write_json(work_dir.launch_json, asdict(run.plan))


def config_text(tree: dict[str, Any]) -> str:
    """Return a lowered config as the text of an MMEngine config file, including its tuples."""
    from mmengine.config import Config

    text: str = Config(tree).pretty_text
    return text


def installed_packages() -> list[str]:
    """List the installed packages, like `pip freeze`."""
    found = {(dist.metadata["Name"] or "").lower(): dist.version for dist in distributions()}
    return [f"{name}=={version}" for name, version in sorted(found.items()) if name]
