from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vision_research.checks.package_rules import TESTED

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


@pytest.fixture(scope="module")
def pins(project: dict[str, Any]) -> dict[str, str]:
    return dict(line.split("==") for line in project["dependencies"] if "==" in line)


def test_the_doctor_asks_for_the_versions_that_are_pinned(pins: dict[str, str]) -> None:
    for name in ("mmdet", "mmengine", "mmcv-lite"):
        assert TESTED[name] == pins[name]


def test_what_is_installed_before_the_project_is_what_it_pins(pins: dict[str, str]) -> None:
    noxfile = (ROOT / "noxfile.py").read_text()
    script = (ROOT / ".ci" / "mmcv_wheel.py").read_text()

    assert re.findall(r'^TORCH = "(.*)"', noxfile, flags=re.MULTILINE) == [pins["torch"]]
    assert f'default="mmcv=={pins["mmcv-lite"]}"' in script
    assert set(re.findall(r"torch==([\d.]+\d)", script)) == {pins["torch"]}


def test_the_forks_that_are_tested_are_the_ones_that_the_doctor_knows() -> None:
    forks = re.findall(r'"(onedl-\w+)==([\d.]+)"', (ROOT / "noxfile.py").read_text())

    assert dict(forks) == {name: version for name, version in TESTED.items() if name.startswith("onedl-")}


def test_the_constraints_meet_every_requirement(project: dict[str, Any]) -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    constraints = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines}
    # Installed before the rest, each in its own way.
    first = {"torch", "setuptools"}
    extras = project["optional-dependencies"]
    requirements = map(Requirement, [*project["dependencies"], *extras["dev"], *extras["export"]])
    # `dev` includes `export` by naming the project itself.
    required = [one for one in requirements if one.name not in {*first, project["name"]}]

    assert len(required) > 15
    for requirement in required:
        assert requirement.specifier.contains(constraints[canonicalize_name(requirement.name)]), requirement
    assert first.isdisjoint(constraints)
    assert "torchvision" not in constraints


@pytest.mark.slow
def test_a_wheel_carries_the_yaml_and_composes_from_it(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)

    source = sorted(path.relative_to(ROOT) for path in (ROOT / "conf").rglob("*.yaml"))
    shipped = sorted(path.relative_to(site / "vision_research") for path in site.rglob("*.yaml"))
    assert len(source) > 30
    assert shipped == source
    command = [sys.executable, "-m", "vision_research.train", "--cfg", "job"]
    variables = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "image_size:" in done.stdout
