"""docs/ops.md: operators and detectors in plain torch, over the same with mmcv's compiled operators.

    python benchmarks/ops_table.py

Puts together the results of ops.py and ops_detectors.py; measures nothing. The page begins with ops_head.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results" / "ops"
PAGE = FOLDER.parent / "docs" / "ops.md"


def main() -> int:
    """Write the page."""
    PAGE.write_text(page())
    return 0


def page() -> str:
    """The whole page."""
    operators = json.loads((RESULTS / "operators.json").read_text())
    detectors = json.loads((RESULTS / "detectors.json").read_text())
    return "\n".join([(FOLDER / "ops_head.md").read_text(), *_operators(operators), "", *_detectors(detectors), ""])


def _operators(results: dict[str, Any]) -> list[str]:
    lines = [
        "## Operators",
        "",
        "Milliseconds on one thread, plain / compiled, in turn in one process, and the most memory of a call "
        "(`python benchmarks/ops.py`).",
        "",
        "| operator | forward | backward | memory, MB |",
        "|---|---|---|---|",
    ]
    for name, measured in results.items():
        cells = [_pair(measured, key) for key in ("forward", "backward", "memory_mb")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _noise(measured: dict[str, Any]) -> str:
    return f" ({measured['gradient_noise']:.0e})" if "gradient_noise" in measured else ""


def _pair(measured: dict[str, dict[str, float]], key: str) -> str:
    return (
        " / ".join(f"{measured[choice][key]:g}" for choice in ("plain", "compiled")) if key in measured["plain"] else ""
    )


def _detectors(results: dict[str, Any]) -> list[str]:
    measured = {name: one for name, one in results.items() if "loss" in one}
    missed = sum(one["not_found"] or 0 for one in measured.values() if one.get("detections"))
    lines = [
        "## Detectors",
        "",
        f"{len(measured)} detectors: the curated ones at 320 x 320, and one of each type of MMDetection, smaller; "
        "two images of the digits, random weights, plain SGD (`python benchmarks/ops_detectors.py`). "
        "Differences of loss and gradient are relative, those of the first step; the gradient's is the norm of the "
        "difference, in brackets that of the compiled operators against themselves after a change of the weights by "
        "1e-7 of their size, given where the difference is over 1e-3. Detections are those of the same weights, above "
        "a score of 0.05, or all where fewer than ten are: "
        "how many, and how many of them the plain operators do not find within 0.05 pixels "
        f"({missed} in all). The ratio of seconds is the median over iterations in turn, on one thread and on two.",
        "",
        "| detector | loss | gradient | detections | not found | s, compiled | ratio, 1 thread | 2 threads | memory |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in measured.items():
        memory = one["memory_mb"]["plain"] / max(one["memory_mb"]["compiled"], 1)
        cells = [
            name.partition(":")[0],
            f"{one['loss_difference']:.0e}",
            f"{one['gradient_difference']:.0e}" + _noise(one),
            *(["", ""] if one.get("detections") is None else [str(one["detections"]), str(one["not_found"])]),
            f"{one['step_s']['1']:.2f}",
            f"{one['ratio']['1']:.2f}",
            f"{one['ratio']['2']:.2f}",
            f"{memory:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    failed = {name: one["why"] for name, one in results.items() if "why" in one}
    if failed:
        lines += ["", "Not measured:", "", *(f"- {name.partition(':')[0]}: {why}" for name, why in failed.items())]
    return lines


if __name__ == "__main__":
    sys.exit(main())
