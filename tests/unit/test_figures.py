"""Figures in docs/ that benchmarks have measured are written by a program, so the pages equal what it writes."""

from __future__ import annotations

import export_table
import export_trained
import figures
import ops_table
import pytest
import zoo_table


@pytest.mark.parametrize("name", list(figures.PAGES))
def test_a_page_has_the_figures_that_were_kept(name: str) -> None:
    page = (figures.DOCS / name).read_text()
    assert figures.written(name, page) == page, "run python benchmarks/figures.py"


def test_the_page_of_the_zoo_is_what_its_program_writes() -> None:
    assert zoo_table.PAGE.read_text() == zoo_table.page(), "run python benchmarks/zoo_table.py"


@pytest.mark.parametrize("program", [export_table, export_trained])
def test_the_tables_of_exported_models_are_what_their_programs_write(program: object) -> None:
    page = export_table.DOCUMENT.read_text()
    assert program.written(page) == page, f"run python benchmarks/{program.__name__}.py --write"  # type: ignore[attr-defined]


def test_the_page_of_the_operators_is_what_its_program_writes() -> None:
    assert ops_table.PAGE.read_text() == ops_table.page(), "run python benchmarks/ops_table.py"
