"""The table of docs/export.md: zoo configs in every format, held against the detector, with file size and latency.

    python benchmarks/export_table.py [--results FOLDER] [--formats torchscript onnx ...] [--compile] [--only TEXT]
    python benchmarks/export_table.py --write

Each config is measured in a process of its own, whose result is a JSON file in the folder: a run that was stopped goes
on where it was, and formats that are asked for later are added. `--write`
puts the results so far between the marks of docs/export.md, and measures nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from export_zoo import ZOO, ZooConfig, draw, perturbed_detector, zoo_config

from vision_research.deploy.build.input_spec import read_input_spec
from vision_research.deploy.build.modules import Form
from vision_research.deploy.check.bounds import bounds_of
from vision_research.deploy.check.cases import Case
from vision_research.deploy.check.expected import Expected
from vision_research.deploy.check.reference import PythonDetector
from vision_research.deploy.check.verify import Verification, verify
from vision_research.deploy.errors import ExportError
from vision_research.deploy.families.registry import find_family
from vision_research.deploy.formats.job import Job
from vision_research.deploy.formats.registry import FORMATS, format_of

RESULTS = Path(__file__).parent / "results" / "export"
DOCUMENT = Path(__file__).parents[1] / "docs" / "export.md"
MARKS = ("<!-- table: benchmarks/export_table.py --write -->\n", "<!-- end of table -->\n")

# Landscape, portrait, small and wide.
SIZES = ((120, 160), (160, 120), (60, 80), (75, 225))
TIMED = (240, 320)
ROUNDS = 5
LIMIT_S = 1500


def main() -> None:
    """Measure what is not measured yet, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--formats", nargs="+", default=["torchscript", "onnx", "openvino", "pt2"])
    parser.add_argument("--compile", action="store_true", help="time torch.compile too, a minute or two for each")
    parser.add_argument("--only", default="", help="part of the configs' names")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--measure", help="one config, in this process")
    arguments = parser.parse_args()
    if arguments.write:
        DOCUMENT.write_text(written(DOCUMENT.read_text(), arguments.results))
    elif arguments.measure:
        measure(arguments.measure, arguments)
    else:
        for zoo in in_turns():
            if arguments.only in zoo.name:
                start(zoo, arguments)


def in_turns() -> list[ZooConfig]:
    """The configs, one of each family after the other, so that a run that is stopped has seen them all."""
    rows = itertools.zip_longest(*ZOO.values())
    return [zoo for row in rows for zoo in row if zoo is not None]


def start(zoo: ZooConfig, arguments: argparse.Namespace) -> None:
    """Measure one config in a process of its own, unless its result is there."""
    known = read_result(arguments.results, zoo.name)
    missing = [form for form in arguments.formats if form not in known["formats"]]
    if not missing and not (arguments.compile and "compiled_ms" not in known):
        return
    print(zoo.name, flush=True)
    words = ["--results", str(arguments.results), "--measure", zoo.name, "--formats", *missing]
    words += ["--compile"] * arguments.compile
    try:
        subprocess.run([sys.executable, "-W", "ignore", __file__, *words], timeout=LIMIT_S, check=True)
    except (subprocess.SubprocessError, OSError) as error:
        print(f"  not measured: {error}", flush=True)


def result_path(folder: Path, name: str) -> Path:
    """Where the result of a config lies."""
    return folder / f"{name.replace('/', '--')}.json"


def read_result(folder: Path, name: str) -> dict[str, Any]:
    """What is known of a config so far."""
    path = result_path(folder, name)
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"name": name, "formats": {}}
    return known


def measure(name: str, arguments: argparse.Namespace) -> None:
    """Export one config in every format, check and time them, and write the result."""
    torch.set_num_threads(1)
    kind, zoo = next((kind, zoo) for kind, entries in ZOO.items() for zoo in entries if zoo.name == name)
    config = zoo_config(zoo)
    detector = perturbed_detector(zoo, config)
    family, pipeline = find_family(detector), config.test_dataloader.dataset.pipeline
    spec = read_input_spec(pipeline, config.model.data_preprocessor)
    reference = PythonDetector(detector, pipeline, spec, family)
    cases = [Case(f"{height}x{width}", draw(seed, height, width)) for seed, (height, width) in enumerate(SIZES)]
    cases += [
        Case("noise", np.random.default_rng(0).integers(0, 256, (*TIMED, 3), dtype=np.uint8)),
        Case("black", np.zeros((*TIMED, 3), np.uint8)),
    ]
    job = Job(detector, spec, Form(), "fp32", family.gives_masks, [draw(99, *TIMED)])
    expected = Expected(reference)
    outcome = {**read_result(arguments.results, name), "kind": kind}
    with tempfile.TemporaryDirectory() as folder:
        runs: dict[str, Any] = {"eager": lambda given: reference.predict(reference.prepare(given))}
        for form in arguments.formats:
            path = Path(folder, f"model{FORMATS[form].suffix}")
            outcome["formats"][form] = check(form, job, path, expected, cases)
            if "error" not in outcome["formats"][form]:
                runner = format_of(path).load(str(path), 1)
                runs[form] = lambda given, runner=runner: runner.run({"input": given})
        ms = time_in_turns(runs)
        for form in runs.keys() - {"eager"}:
            outcome["formats"][form] |= {"ms": ms[form], "eager_ms": ms["eager"]}
        outcome.setdefault("eager_ms", ms["eager"])
        if arguments.compile:
            outcome["compiled_ms"] = time_compiled(detector, runs["eager"])
    result = result_path(arguments.results, name)
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(outcome, indent=1))


def check(form: str, job: Job, path: Path, expected: Expected, cases: list[Case]) -> dict[str, Any]:
    """Write a file and hold it against the detector; what was measured, or the refusal."""
    try:
        FORMATS[form].write(job, path)
        files = [path, path.with_suffix(".bin")] if form == "openvino" else [path]
        size = sum(file.stat().st_size for file in files)
        bounds = bounds_of(form, "fp32")
        # Of all that is measured the table tells; whether it is within the bounds is told beside it.
        loose = bounds if bounds.is_exact else replace(bounds, tolerance=replace(bounds.tolerance, unmatched=1.0))
        verified = verify(path, expected, cases, bounds=loose)
    except ExportError as error:
        return {"error": str(error)}
    return {"size_mb": size / 1e6, "within": verified.unmatched_share <= bounds.tolerance.unmatched, **told(verified)}


def told(verified: Verification) -> dict[str, Any]:
    """What the table tells of a check."""
    found = [case.overall for case in verified.cases]
    masks = [one.mask for one in found if one.mask is not None]
    return {
        **({"mask": max(masks)} if masks else {}),
        "num_images": len(found),
        "num_detections": sum(one.num_expected for one in found),
        "box_px": max(one.box_px for one in found),
        "score": max(one.score for one in found),
        "unmatched": verified.unmatched_share,
    }


def time_in_turns(runs: dict[str, Any]) -> dict[str, float]:
    """Median milliseconds of each from an image to detections, one after the other in each round."""
    image = draw(98, *TIMED)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(-1, ROUNDS):
        for name, run in runs.items():
            started = time.perf_counter()
            run(image)
            if turn >= 0:
                seconds[name].append(time.perf_counter() - started)
    return {name: 1000 * median(times) for name, times in seconds.items()}


def time_compiled(detector: Any, run: Any) -> float:
    """The detector in Python with its backbone and neck compiled, as `hw.compile=true` has them."""
    for part in ("backbone", "neck"):
        if getattr(detector, part, None) is not None:
            getattr(detector, part).compile()
    return time_in_turns({"compiled": run})["compiled"]


def written(text: str, folder: Path = RESULTS) -> str:
    """Return the text of the document with the results so far.

    Args:
        text: as it is.
        folder: of the results.
    """
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    order = {zoo.name: place for place, zoo in enumerate(zoo for entries in ZOO.values() for zoo in entries)}
    results.sort(key=lambda result: order.get(result["name"], len(order)))
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}{table(results)}{MARKS[1]}{after}"


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: a line for each config and format."""
    lines = ["", summary(results), ""]
    lines += ["| family | config | format | box, px | score | mask | without partner | MB | ms | of eager |"]
    lines += ["|---|---|---|---|---|---|---|---|---|---|"]
    for result in results:
        eager, compiled = result["eager_ms"], result.get("compiled_ms")
        lines.append(f"| {result['kind']} | {result['name']} | Python, eager | | | | | | {eager:.0f} | 1 |")
        if compiled:
            lines.append(f"| | | Python, compiled | | | | | | {compiled:.0f} | {compiled / eager:.2f} |")
        lines += [f"| | | {form} | {row(found)} |" for form, found in result["formats"].items()]
    return "\n".join([*lines, "", ""])


def row(found: dict[str, Any]) -> str:
    """The cells of one format."""
    if "error" in found:
        lines = found["error"].splitlines()
        reason = lines[1].strip() if len(lines) > 1 and lines[0].endswith(":") else lines[0]
        # Without what to type, and without a table's own sign.
        return f"{reason.split(' Type ')[0].replace('|', '/')} | | | | | |"
    flag = "" if found["within"] else " (over its bound)"
    mask = f"{found['mask']:.1g}" if "mask" in found else ""
    return (
        f"{found['box_px']:.1g} | {found['score']:.1g} | {mask} | {found['unmatched']:.2%}{flag} | "
        f"{found['size_mb']:.1f} | {found['ms']:.0f} | {found['ms'] / found['eager_ms']:.2f}"
    )


def summary(results: list[dict[str, Any]]) -> str:
    """How many configs each format passed with."""
    forms = list(dict.fromkeys(form for result in results for form in result["formats"]))
    counts = []
    for form in forms:
        passed = sum(result["formats"].get(form, {}).get("within", False) for result in results)
        counts.append(f"{form} {passed}")
    return f"Within their bounds, of {len(results)} configs: {', '.join(counts)}."


if __name__ == "__main__":
    main()
