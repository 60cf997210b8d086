"""The second table of docs/export.md: a small trained detector of each kind, in every format, with its mAP.

    python benchmarks/export_trained.py [--results FOLDER] [--work FOLDER] [--only dense two_stage query mask]
    python benchmarks/export_trained.py --write

Each is trained from scratch by our own command on the embedded digits, and exported by our own command, a format at a
time; what its manifest says was measured is kept in a JSON file. A run that was stopped goes on with what is missing:
trainings lie in the work folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export_table import DOCUMENT

MARKS = ("<!-- table: benchmarks/export_trained.py --write -->\n", "<!-- end of trained table -->\n")
RESULTS = Path(__file__).parent / "results" / "export_trained"
SUFFIXES = {"torchscript": ".ts", "onnx": ".onnx", "openvino": ".xml", "pt2": ".pt2"}
NUM_IMAGES = 32


@dataclass(frozen=True)
class Training:
    """What is trained.

    Attributes:
        model: as the table names it.
        words: what is typed besides what all have in common.
        epochs: over the 400 pictures.
    """

    model: str
    words: tuple[str, ...]
    epochs: int


# A quarter of the width, and a quarter of the samples: half a second an iteration on one core.
_SMALL_TWO_STAGE = (
    "model.backbone.depth=18",
    "model.neck.in_channels=[64,128,256,512]",
    "model.neck.out_channels=64",
    "model.rpn_head.in_channels=64",
    "model.rpn_head.feat_channels=64",
    "model.roi_head.bbox_roi_extractor.out_channels=64",
    "model.roi_head.bbox_head.in_channels=64",
    "model.roi_head.bbox_head.fc_out_channels=256",
    "model.train_cfg.rpn_proposal.nms_pre=500",
    "model.train_cfg.rpn_proposal.max_per_img=200",
    "model.train_cfg.rcnn.sampler.num=128",
    "model.test_cfg.rpn.max_per_img=200",
)

_SMALL_PICTURES = ("image_size=[128,128]", "aug=none")

TRAININGS = {
    # The experiment that README begins with.
    "dense": Training("RTMDet-tiny", ("experiment=demo",), 8),
    "two_stage": Training(
        "Faster R-CNN R18, 64 channels", ("model=faster_rcnn", *_SMALL_TWO_STAGE, *_SMALL_PICTURES), 6
    ),
    # Of the line of DETR the one that learns fastest: its queries begin at the encoder's own proposals.
    "query": Training(
        "DINO R18, 1 + 3 layers, 60 queries",
        (
            "model=dino",
            "model.backbone.depth=18",
            "model.neck.in_channels=[128,256,512]",
            "model.num_queries=60",
            "model.test_cfg.max_per_img=60",
            "model.encoder.num_layers=1",
            "model.decoder.num_layers=3",
            "model.encoder.layer_cfg.ffn_cfg.feedforward_channels=512",
            "model.decoder.layer_cfg.ffn_cfg.feedforward_channels=512",
            "model.dn_cfg.group_cfg.num_dn_queries=40",
            # From scratch the backbone learns as fast as the rest.
            "model.recipe.optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=1.0",
            "schedule.lr=0.0004",
            "schedule.decay=constant",
            *_SMALL_PICTURES,
        ),
        4,
    ),
    "mask": Training(
        "Mask R-CNN R18, 64 channels",
        (
            "model=zoo/mask_rcnn/mask-rcnn_r50_fpn_1x_coco",
            *_SMALL_TWO_STAGE,
            "model.roi_head.mask_roi_extractor.out_channels=64",
            "model.roi_head.mask_head.in_channels=64",
            "model.roi_head.mask_head.conv_out_channels=64",
            "model.roi_head.mask_head.num_convs=2",
            *_SMALL_PICTURES,
        ),
        6,
    ),
}
COMMON = (
    "model.weights=none",
    "data.num_workers=0",
    "hw=cpu",
    "hw.num_threads=1",
    "tracking=none",
    "export=none",
)


def main() -> None:
    """Train and export what is missing, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--work", type=Path, default=Path("runs/export_trained"), help="where the trainings lie")
    parser.add_argument("--only", nargs="+", default=list(TRAININGS), choices=list(TRAININGS))
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if arguments.write:
        DOCUMENT.write_text(written(DOCUMENT.read_text(), arguments.results))
        return
    for kind in arguments.only:
        measure(kind, arguments.work.absolute(), arguments.results.absolute())


def measure(kind: str, work: Path, results: Path) -> None:
    """Train one detector unless it is there, and export it in the formats that have no result yet."""
    training, run = TRAININGS[kind], work / kind
    result = results / f"{kind}.json"
    known: dict[str, Any] = json.loads(result.read_text()) if result.exists() else {"formats": {}}
    known |= {"kind": kind, "model": training.model, "epochs": training.epochs}
    if set(known["formats"]) >= set(SUFFIXES):
        return
    work.mkdir(parents=True, exist_ok=True)
    results.mkdir(parents=True, exist_ok=True)
    if not any(run.glob("best_*.pth")):
        command("train", *training.words, *COMMON, f"schedule.max_epochs={training.epochs}", f"work_dir={run}", at=work)
    for form in SUFFIXES:
        if form not in known["formats"]:
            known["formats"][form] = export(form, run, work)
            result.write_text(json.dumps(known, indent=1))


def export(form: str, run: Path, work: Path) -> dict[str, Any]:
    """Write one format and read what was measured; or the refusal."""
    output = run / "export" / f"model{SUFFIXES[form]}"
    words = (f"run={run}", f"export.formats=[{form}]", f"export.num_images={NUM_IMAGES}", f"export.output={output}")
    try:
        command("export", *words, "tracking=none", at=work)
    except subprocess.CalledProcessError as error:
        return {"error": error.output.strip().splitlines()[-1]}
    verification = json.loads(output.with_name(f"{output.name}.json").read_text())["verification"]
    files = [output, output.with_suffix(".bin")] if form == "openvino" else [output]
    return {
        "size_mb": sum(file.stat().st_size for file in files) / 1e6,
        "num_images": verification["num_images"],
        "num_detections": verification["num_detections"],
        "unmatched": verification["unmatched_share"],
        "average_precision": verification["average_precision"],
        **verification["from_image"],
    }


def command(name: str, *words: str, at: Path) -> None:
    """Run a command of ours; what it prints is its own while it runs, or the error's."""
    print(name, *words, flush=True)
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"vision_research.{name}", *words],
        cwd=at,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def written(text: str, folder: Path = RESULTS) -> str:
    """Return the text of the document with the results so far.

    Args:
        text: as it is.
        folder: of the results.
    """
    results = [json.loads(path.read_text()) for kind in TRAININGS if (path := folder / f"{kind}.json").exists()]
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}{table(results)}{MARKS[1]}{after}"


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: a line for each detector and format."""
    lines = [
        "",
        "| kind | detector | format | mAP | in Python | detections | box, px | score | mask | without partner | MB |",
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|---|---|"]
    for result in results:
        named = f"{result['kind']} | {result['model']}, {result['epochs']} epochs"
        for form, found in result["formats"].items():
            lines.append(f"| {named} | {form} | {row(found)} |")
            named = " | "
    return "\n".join([*lines, "", ""])


def row(found: dict[str, Any]) -> str:
    """The cells of one format."""
    if "error" in found:
        return f"{found['error'].replace('|', '/')} | | | | | | | "
    precision = found["average_precision"]
    mask = found.get("max_mask_difference")
    return (
        f"{precision['artifact']:.4f} | {precision['python']:.4f} | {found['num_detections']} | "
        f"{found['max_box_difference_px']:.1g} | {found['max_score_difference']:.1g} | "
        f"{'' if mask is None else f'{mask:.1g}'} | {found['unmatched']:.2%} | {found['size_mb']:.1f}"
    )


if __name__ == "__main__":
    main()
