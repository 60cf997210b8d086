"""The tables of docs/ whose figures benchmarks have kept in benchmarks/results/figures.

    python benchmarks/figures.py

Writes between the marks of each page, and measures nothing; tests/unit/test_figures.py holds the pages to it. The page
of the zoo and the tables of every exported config are written by zoo_table.py, export_table.py and export_trained.py.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from statistics import median
from typing import Any

from record import FOLDER, recorded

DOCS = Path(__file__).parents[1] / "docs"
MARKS = ("<!-- figures: benchmarks/figures.py -->\n", "<!-- end of figures -->\n")
# What is typed for a format, and what it is called.
FORMATS = {
    "openvino": ("`export=openvino`", "OpenVINO"),
    "onnx": ("`export=onnx`", "ONNX"),
    "torchscript-fused": ("`export=torchscript export.fuse=true`", "TorchScript with `export.fuse=true`"),
    "torchscript": ("`export=torchscript`", "TorchScript"),
    "pt2": ("`export=pt2`", "`.pt2`"),
}
# The columns of docs/export.md: what is timed on two threads.
TIMED = {
    "RTMDet-tiny, 192x192, trained": "trained",
    "RTMDet-tiny, 640x640": "rtmdet/rtmdet_tiny_8xb32-300e_coco",
    "Faster R-CNN R50, 800x1066": "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
}


def main() -> None:
    """Write the tables."""
    for name in PAGES:
        page = DOCS / name
        page.write_text(written(name, page.read_text()))


def written(name: str, text: str) -> str:
    """Return the text of a page with its table as it should be.

    Args:
        name: of the page, as `export.md`.
        text: as it is.
    """
    before, _, rest = text.partition(MARKS[0])
    _, mark, after = rest.partition(MARKS[1])
    assert mark, f"{name} has no place for its figures"
    return f"{before}{MARKS[0]}\n{PAGES[name]()}\n{MARKS[1]}{after}"


def benchmarks_table() -> str:
    """A line for each benchmark."""
    rows = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["row"]
    figures = all_figures()
    cells = [(row["what"], row["held_to"], row["measured"].format(**figures), f"`{row['again']}`") for row in rows]
    return _table(("what", "held to", "measured", "measure again"), cells)


def all_figures() -> dict[str, Any]:
    """Return what every benchmark has kept, by its name; lists that are told whole are text."""
    figures = {file.stem: recorded(file.stem) for file in FOLDER.glob("*.json")}
    pairs = figures["tracking_overhead"]["pairs"]
    figures["tracking_overhead"] = {"median": median(pairs), "pairs": ", ".join(f"{pair:.3f}" for pair in pairs)}
    figures["zoo_speed"]["ratios"] = ", ".join(f"{ratio:.2f}" for ratio in figures["zoo_speed"]["ratios"])
    figures["export"] = {name: _ratios(by_threads) for name, by_threads in figures["export"].items()}
    return figures


def _ratios(by_threads: dict[str, dict[str, list[float]]]) -> str:
    """Tell the ratios of every format, on two threads and, where they are known, on one."""
    lines = []
    for threads, said in (("2", ""), ("1", "on one thread ")):
        ratios = by_threads.get(threads, {})
        parts = [f"{called} {_runs(ratios[form])}" for form, (_, called) in FORMATS.items() if form in ratios]
        lines += [said + ", ".join(parts)] if parts else []
    return "; ".join(lines)


def _runs(values: list[float]) -> str:
    return " and ".join(f"{value:.2f}" for value in values) + (" in two runs" if len(values) == 2 else "")


def speed_table() -> str:
    """A line for each format: of the detector's time in Python."""
    kept = recorded("export")
    rows = []
    for form, (typed, _) in FORMATS.items():
        ratios = [kept[name]["2"].get(form) for name in TIMED.values()]
        rows.append((typed, *(f"{ratio[0]:.2f}" if ratio else "" for ratio in ratios)))
    return _table(("type", *TIMED), rows)


def experiments_table() -> str:
    """A line for each experiment on embedded data: its metrics and minutes."""
    rows = []
    for name, found in recorded("experiments").items():
        metrics = ", ".join(f"{metric} {value:.3g}" for metric, value in found["metrics"].items())
        rows.append((f"`experiment={name}`", metrics, f"{found['minutes']:.3g}"))
    return _table(("experiment", "comes to", "minutes of a busy core"), rows)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(head)}", *lines[1:], ""])


PAGES = {"benchmarks.md": benchmarks_table, "export.md": speed_table, "recipes.md": experiments_table}


if __name__ == "__main__":
    main()
