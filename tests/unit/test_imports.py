from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import vision_research

PACKAGE = Path(vision_research.__file__).parent
HEAVY = ["torch", "mmengine.runner", "mmdet", "mmcv", "mlflow"]
PROBE = """
import importlib, json, sys
heavy, modules = json.loads(sys.argv[1])
for name in modules:
    importlib.import_module(name)
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


def loaded_by(*modules: str) -> list[str]:
    """The heavy modules that a fresh interpreter holds after importing `modules`."""
    arguments = json.dumps([HEAVY, modules])
    done = subprocess.run([sys.executable, "-c", PROBE, arguments], capture_output=True, text=True, check=True)
    loaded: list[str] = json.loads(done.stdout.splitlines()[-1])
    return loaded


def modules_of(folder: str) -> list[str]:
    paths = [path for path in sorted((PACKAGE / folder).rglob("*.py")) if path.name != "__init__.py"]
    return [".".join(("vision_research", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in paths]


COMMANDS = [path.stem for path in sorted(PACKAGE.glob("*.py")) if path.name not in ("__init__.py", "work_dir.py")]


def test_the_commands_are_found() -> None:
    assert {"train", "export", "test", "threshold", "predict", "track", "doctor", "worker"} <= set(COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_nothing_heavy(command: str) -> None:
    assert loaded_by(f"vision_research.{command}") == []


@pytest.mark.parametrize("folder", ["config", "launch"])
def test_composing_and_launching_import_nothing_heavy(folder: str) -> None:
    modules = modules_of(folder)

    assert len(modules) >= 4
    assert loaded_by(*modules) == []


@pytest.mark.slow
def test_the_probe_sees_what_is_loaded() -> None:
    assert "torch" in loaded_by("vision_research.engine.hooks.throughput")
