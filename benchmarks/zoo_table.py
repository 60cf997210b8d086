"""docs/zoo.md: every entry of MMDetection's zoo, what its authors published of it, and what it does here.

    python benchmarks/zoo_table.py [--check]

Puts together MMDetection's model index with the results of zoo_parity.py, zoo_builds.py, zoo_learning.py,
zoo_families.py and export_table.py; measures nothing. `--check` writes nothing, and returns 1 where the page is not up
to date. The page begins with zoo_head.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from vision_research.config.weights import published_entry
from vision_research.config.zoo import zoo_options

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "zoo.md"
HEAD = Path(__file__).with_name("zoo_head.md").read_text()


# Files that MMDetection itself builds nothing from, whatever is installed: what is wrong in them, and what mends it.
MISTAKES = {
    "bytetrack/bytetrack_yolox_x_8xb4-amp-80e_crowdhuman-mot17halftrain_test-mot17test": "its `_base_` names a folder "
    "inside of its own, where nothing is",
    "cascade_rpn/cascade-rpn_r50-caffe_fpn_1x_coco": "its CascadeRPNHead is not told `num_classes`, which it asks for, "
    "and its stages are told `sampling`, which they do not know; `+model.rpn_head.num_classes=1 "
    "~model.rpn_head.stages.0.sampling ~model.rpn_head.stages.1.sampling` mends it",
    "sort/faster-rcnn_r50_fpn_8xb2-4e_mot17train_test-mot17train": "its `_base_` lacks the `.py`",
    "sort/faster-rcnn_r50_fpn_8xb2-8e_mot20halftrain_test-mot20halfval": "its `_base_` lacks the `.py`",
    "sort/faster-rcnn_r50_fpn_8xb2-8e_mot20train_test-mot20train": "its `_base_` lacks the `.py`",
    "v3det/fcos_swinb_fpn_8x4_sample1e-3_mstrain_v3det_2x": "it gives its FPN `force_grad_on_level`, which FPN does "
    "not know; `~model.neck.force_grad_on_level` mends it",
}
# What a type's own words do not say.
REASONS = {
    "ImageClassifier": "MMPretrain's classifiers, in which RTMDet's backbones were trained: no detectors",
    "StrongSORT": "its AFLink fetches weights from a server while it is built",
}
PACKAGES = {"skimage": "scikit-image"}


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    text = page()
    if parser.parse_args().check:
        return int(not PAGE.is_file() or PAGE.read_text() != text)
    PAGE.write_text(text)
    return 0


def page() -> str:
    """Return the page as it should be."""
    parity, builds, learning = (_read(name) for name in ("parity", "builds", "learning"))
    parts = [HEAD, *_parity(parity), *_builds(builds), *_learning(learning), *_entries(parity, builds, learning)]
    return "\n".join(parts) + "\n"


@cache
def _read(name: str) -> dict[str, Any]:
    file = RESULTS / "zoo" / f"{name}.json"
    return json.loads(file.read_text()) if file.is_file() else {}


def _parity(parity: dict[str, Any]) -> list[str]:
    lines = [
        "## What is held against the file",
        "",
        f"**{parity['equal']} of {parity['trainable']}** trainable files: `experiment=zoo/X`, composed, checked and "
        "lowered, equals `Config.fromfile(X)` key by key, tuples and all (`benchmarks/zoo_parity.py`), apart from "
        "these keys, which are ours:",
        "",
        *(f"- `{key}`: {why}" for key, why in parity["ours"].items()),
        f"- `custom_hooks`: {', '.join(f'`{hook}`' for hook in parity['our_hooks'])} come after the file's own",
        "",
        "On a CPU, SyncBN becomes BN and mixed precision full precision, since neither exists there.",
    ]
    if parity["differing"]:
        lines += [
            "",
            "Exceptions:",
            "",
            *(f"- `{name}`: {'; '.join(why)}" for name, why in parity["differing"].items()),
        ]
    return [*lines, ""]


def _builds(builds: dict[str, Any]) -> list[str]:
    if not builds:
        return []
    counts = Counter(entry["outcome"] for entry in builds.values())
    refused = Counter(
        entry["other classes"] for entry in builds.values() if isinstance(entry.get("other classes"), str)
    )
    absent = Counter(
        REASONS.get(entry.get("detector", ""), entry["why"])
        for name, entry in builds.items()
        if entry["outcome"] == "not here" and name not in MISTAKES
    )
    broken = [name for name in MISTAKES if builds.get(name, {}).get("outcome") == "not here"]
    further = Counter(_further(entry) for entry in builds.values() if entry["outcome"] == "same" and "with" in entry)
    wrong = {name: entry for name, entry in builds.items() if entry["outcome"] in ("differs", "not with other classes")}
    return [
        "## What builds",
        "",
        f"**{counts['same']}** detectors build without weights with the names and shapes that MMDetection builds from "
        "the file, and with the ten classes of the digits where they count classes (`benchmarks/zoo_builds.py`). "
        "Teachers are untrained, and the BERT of those that read text has random weights.",
        "",
        *(f"- {count} of them with {names} installed" for names, count in further.most_common()),
        *(f"- `{name}`: {entry['outcome']}: {entry['why']}" for name, entry in wrong.items()),
        *(f"- {count} have no class count to set: {why}" for why, count in refused.most_common()),
        *(
            f"- {count} do not build here, nor in MMDetection by itself: {_short(why)}"
            for why, count in absent.most_common()
        ),
        *(f"- `{name}` is broken in MMDetection: {MISTAKES[name]}" for name in broken),
        "",
    ]


def _further(entry: dict[str, Any]) -> str:
    """Name the packages that an entry was tried with beyond the project's own."""
    *names, last = [PACKAGES.get(module, module) for module in entry["with"]]
    return f"{', '.join(names)} and {last}" if names else last


def _learning(learning: dict[str, Any]) -> list[str]:
    if not learning:
        return []
    able = sum("loss" in entry for entry in learning.values())
    rows = [
        f"| {kind} | `{entry['config']}` | "
        + (
            f"{entry['loss']:g} | {entry['step_s']:g} | {entry['val_s']:g} |"
            if "loss" in entry
            else f"{_short(entry['why'], 330)} | | |"
        )
        for kind, entry in sorted(learning.items())
    ]
    return [
        "## What learns",
        "",
        f"**{able} of the {len(learning)}** detector types take a step and validate a batch, from scratch, on one busy "
        "core, two small images a step (`benchmarks/zoo_learning.py`): on `data=digits`, trackers of boxes and "
        "of masks on `data=digits_video`, panoptic detectors and semantic branches on `data=digits_panoptic`, "
        "re-identification on `data=digits_reid`, a teacher with its student on `data=digits_semi`. What a "
        "type needs beyond its name is in the benchmark's OTHERS (a "
        "size that its strides ask for, an untrained teacher, a BERT with random weights)."
        f"{_tried_with(learning)}",
        "",
        "| detector | smallest config | loss, or why not | step, s | validation, s |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def _tried_with(learning: dict[str, Any]) -> str:
    tried = [f"{kind} with {_further(entry)}" for kind, entry in sorted(learning.items()) if "with" in entry]
    return f" Tried with further packages installed: {'; '.join(tried)}." if tried else ""


def _entries(parity: dict[str, Any], builds: dict[str, Any], learning: dict[str, Any]) -> list[str]:
    trainable, differing = set(parity["configs"]), parity["differing"]
    lines = [
        "## Every entry",
        "",
        "Box and mask AP in percent and memory in GB are those of MMDetection's model index. *file*: the experiment is "
        "the file, key by key; *builds*: here; *learns*: its detector type takes a step on the digits; *exports*: in "
        "which formats it was held against the detector (docs/export.md); where it was not, whether a family of "
        "exporters takes it (*taken*), or what keeps the nearest one from it (`benchmarks/zoo_families.py`).",
    ]
    family = ""
    for name in zoo_options():
        if name.partition("/")[0] != family:
            family = name.partition("/")[0]
            lines += [
                "",
                f"### {family}",
                "",
                "| config | detector | backbone | box AP | mask AP | GB | file | builds | learns | exports |",
            ]
            lines += ["|---|---|---|---|---|---|---|---|---|---|"]
        built = builds.get(name, {})
        box, mask, memory = _published(name)
        file = "-" if name not in trainable else "no" if name in differing else "yes"
        builds_here = {"same": "yes", "no model": "-"}.get(built.get("outcome", ""), "no" if built else "?")
        kind = built.get("detector", "-")
        learns = "-" if name not in trainable else "yes" if "loss" in learning.get(kind, {}) else "no"
        cells = (name.partition("/")[2], kind, built.get("backbone", "-"), box, mask, memory, file, builds_here, learns)
        lines.append(f"| {' | '.join((*cells, _exports(name)))} |")
    return lines


def _published(name: str) -> tuple[str, str, str]:
    entry = published_entry(name)
    values = {
        metric: value
        for result in entry.get("Results") or []
        if str(result.get("Dataset")).startswith("COCO")
        for metric, value in (result.get("Metrics") or {}).items()
    }
    memory = (entry.get("Metadata") or {}).get("Training Memory (GB)", "")
    return str(values.get("box AP", "")), str(values.get("mask AP", "")), str(memory)


def _exports(name: str) -> str:
    file = RESULTS / "export" / f"{name.replace('/', '--')}.json"
    if not file.is_file():
        family = _read("families").get(name, {})
        return "taken" if "family" in family else f"no: {_short(family['why'])}" if family else ""
    formats = json.loads(file.read_text()).get("formats", {})
    return ", ".join(kind for kind, found in formats.items() if found.get("within"))


def _short(text: str, length: int = 200) -> str:
    return text.replace("|", "/").replace("\n", " ")[:length]


if __name__ == "__main__":
    sys.exit(main())
