"""What the pages say of the repository is true: paths and links exist, and the floors are those of import-linter."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOTES = sorted((ROOT / "vision_research").rglob("README.md"))
ARCHITECTURE = ROOT / "docs" / "architecture.md"
NAMES = [str(path.relative_to(ROOT)) for path in (*PAGES, *NOTES)]
# `tests/unit/<package>/test_<module>.py` stands for many paths.
PATH = re.compile(r"(?<![\w/])(?:vision_research|tests|benchmarks|conf|docs|\.ci)/[\w./<>*-]*\w/?")
LINK = re.compile(r"\]\((?!\w+:)([^)\s]+)\)")


def anchor(title: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_every_package_with_decisions_is_linked_from_the_architecture() -> None:
    linked = {(ARCHITECTURE.parent / target).resolve() for target in LINK.findall(ARCHITECTURE.read_text())}
    assert [str(path) for path in NOTES if path not in linked] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_path_that_a_page_names_exists(name: str) -> None:
    named = {path.rstrip(".") for path in PATH.findall((ROOT / name).read_text())}
    assert sorted(path for path in named if not re.search(r"[<>*]", path) and not (ROOT / path).exists()) == []


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("vision_research/")])
def test_every_module_that_the_notes_of_a_package_name_exists(name: str) -> None:
    notes = ROOT / name
    named = set(re.findall(r"`([\w/]+\.py)`", notes.read_text())) - {"config.py"}  # config.py is a file of a run
    roots = (notes.parent, ROOT / "vision_research", ROOT)
    found = {path.name for folder in (notes.parent, ROOT / "tests") for path in folder.rglob("*.py")}
    assert sorted(path for path in named if path not in found and not any((at / path).exists() for at in roots)) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_to_a_file_and_a_heading(name: str) -> None:
    page, lost = ROOT / name, []
    for target in LINK.findall(page.read_text()):
        file, _, heading = target.partition("#")
        path = page.parent / file if file else page
        titles = re.findall(r"^#+ (.*)$", path.read_text(), re.M) if path.suffix == ".md" and path.exists() else []
        if not path.exists() or (heading and heading not in map(anchor, titles)):
            lost.append(target)
    assert lost == []


def test_the_architecture_is_one_page() -> None:
    assert len(ARCHITECTURE.read_text().split()) <= 1200


def test_the_floors_of_the_architecture_are_those_that_are_checked() -> None:
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    section = ARCHITECTURE.read_text().split("## The floors")[1].split("\n## ")[0]
    told = [line for line in section.splitlines() if line.startswith("    ")]

    def floors(lines: list[str]) -> list[set[str]]:
        return [set(re.findall(r"\w+", line)) for line in lines]

    assert floors(told) == floors(checked)
    rows = {name for cell in re.findall(r"^\| (`.*?) \|", section, re.M) for name in re.findall(r"`(\w+)`", cell)}
    # The commands have no row each.
    assert rows | floors(checked)[0] | floors(checked)[1] == set().union(*floors(checked))
