"""The table of faults: tests marked with `fault` are repeated (`--attempts N`) and counted (`--fault-page FILE`).

    @pytest.mark.fault("SIGKILL of torchrun, two ranks", "ranks end with it; a resume loses no loss")

`nox -s faults` runs all of them, and writes the table of docs/reliability.md.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

BEGIN, END = "<!-- faults: nox -s faults -->", "<!-- end of faults -->"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options."""
    group = parser.getgroup("faults")
    group.addoption("--attempts", type=int, default=1, help="how often each marked fault is injected")
    group.addoption("--fault-page", type=Path, default=None, help="page whose table is written")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat the tests of faults."""
    attempts = metafunc.config.getoption("attempts")
    if attempts > 1 and metafunc.definition.get_closest_marker("fault"):
        metafunc.fixturenames.append("attempt")
        metafunc.parametrize("attempt", range(1, attempts + 1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Give the report of a fault its words: reports alone come from other processes."""
    report = yield
    if marker := item.get_closest_marker("fault"):
        report.user_properties.append(("fault", list(marker.args)))
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write what happened to all faults that were injected."""
    page: Path | None = config.getoption("fault_page")
    if page is None:
        return
    counts: dict[tuple[str, str], Counter[str]] = {}
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            if words := dict(report.user_properties).get("fault"):
                counts.setdefault(tuple(words), Counter())["held" if outcome == "passed" else "failed"] += 1
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{_table(counts)}\n{END}{after}", encoding="utf-8")


def _table(counts: dict[tuple[str, str], Counter[str]]) -> str:
    held = sum(not count["failed"] for count in counts.values())
    lines = [f"{held} of {len(counts)} faults ended as promised, each time.", ""]
    lines += ["| fault | promised | happened |", "|---|---|---|"]
    for (fault, promise), count in sorted(counts.items()):
        lines.append(f"| {fault} | {promise} | {count['held']} of {count.total()} times |")
    return "\n".join(lines) + "\n"
