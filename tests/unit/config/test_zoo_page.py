"""docs/zoo.md shows every entry of the zoo, and the figures that were measured."""

from __future__ import annotations

import json
from pathlib import Path

from vision_research.config.zoo import zoo_options

ROOT = Path(__file__).parents[3]


def test_every_entry_has_its_row_under_its_family() -> None:
    family, rows = "", set()
    for line in (ROOT / "docs" / "zoo.md").read_text().splitlines():
        if line.startswith("### "):
            family = line.removeprefix("### ")
        elif line.startswith("| ") and family:
            rows.add(f"{family}/{line.split(' | ')[0].removeprefix('| ')}")
    assert set(zoo_options()) - rows == set()


def test_the_page_gives_the_count_of_the_parity_run() -> None:
    parity = json.loads((ROOT / "benchmarks" / "results" / "zoo" / "parity.json").read_text())
    page = (ROOT / "docs" / "zoo.md").read_text()
    assert f"**{parity['equal']} of {parity['trainable']}** trainable files" in page
    assert len(parity["configs"]) == parity["trainable"] == 789
