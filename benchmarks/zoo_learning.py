"""Does every detector type of the zoo learn here? One training step and one validation batch on the digits, on a CPU.

    python benchmarks/zoo_learning.py [--only TYPE ...] [--again]

Of each type the smallest detector is taken that benchmarks/results/zoo/builds.json has. A type that needs another is
named in CONFIGS. Goes on where it was: results are in benchmarks/results/zoo/learning.json; each type runs in a process
of its own, so that one that runs out of memory or time takes no other with it.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from digit_proposals import write_digit_proposals
from language_model import make_bert

RESULTS = Path(__file__).parent / "results" / "zoo"
RESULT = RESULTS / "learning.json"
LIMIT_S = 400
WORDS = ("data=digits", "aug=none", "schedule=tiny", "model.weights=none", "data.batch_size=2", "data.num_workers=0")
SIZE = "data.image_size=[128,160]"
# Types whose files want another size or other words.
TRACKED = ("data=digits_video", "aug=zoo/{config}")
MAPPED = ("data=digits_panoptic",)
OTHERS: dict[str, tuple[str, ...]] = {
    # A whole step of the recipe throws an untrained YOLOX-x so far that no box has a height any more.
    "ByteTrack": (*TRACKED, "schedule.lr=1e-5"),
    "OCSORT": (*TRACKED, "schedule.lr=1e-5"),
    "QDTrack": TRACKED,
    "CenterNet": ("aug=zoo/{config}",),
    "DDOD": ("data.image_size=[320,320]",),
    "DDQDETR": ("data.image_size=[320,320]",),
    "DINO": ("data.image_size=[320,320]",),
    # Boxes around the objects, and others, in the place of those that an RPN would have found.
    "FastRCNN": (
        "aug=zoo/{config}",
        "data.train_proposals={proposals}/train.npz",
        "data.val_proposals={proposals}/val.npz",
        "data.test_proposals={proposals}/test.npz",
    ),
    # Their language model lies on a hub; one with random weights takes the same step.
    "GLIP": ("model.language_model.name={bert}",),
    "GroundingDINO": ("data.image_size=[320,320]", "model.language_model.name={bert}"),
    "QueryInst": ("data.image_size=[320,320]",),
    "YOLOX": ("data.image_size=[128,128]",),
    "YOLOV3": ("data.image_size=[128,128]",),
    "RTMDet": ("data.image_size=[128,128]",),
    "SingleStageDetector": ("data.image_size=[300,300]",),
    # Their teachers lie on a server; an untrained one takes the same step.
    "KnowledgeDistillationSingleStageDetector": ("model.teacher_ckpt=null",),
    "LAD": ("model.teacher_ckpt=null",),
    # Of one class, which the moving digits are.
    "CrowdDet": ("data=digits_video", "model.roi_head.bbox_roi_extractor.roi_layer.use_torchvision=false"),
    "HybridTaskCascade": MAPPED,
    "SCNet": MAPPED,
    "PanopticFPN": MAPPED,
    "MaskFormer": MAPPED,
    "Mask2Former": MAPPED,
    # A draw of 8 identities with 4 crops each; to find one again takes more than one crop.
    "BaseReID": (
        "data=digits_reid",
        "aug=zoo/{config}",
        "data.batch_size=1",
        "data.image_size=null",
        "data.limit_train=null",
        "data.limit_val=32",
    ),
    "SoftTeacher": ("data=digits_semi", "aug=zoo/{config}"),
    "MaskTrackRCNN": TRACKED,
    "Mask2FormerVideo": TRACKED,
}
# Where the smallest detector of a type is no good example of it.
CONFIGS = {
    # HRNet without its weights has losses of 1e8 and more in a cascade.
    "FastRCNN": "fast_rcnn/fast-rcnn_r50_fpn_1x_coco",
    "CascadeRCNN": "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco",
    "HybridTaskCascade": "htc/htc_r50_fpn_1x_coco",
    "RetinaNet": "retinanet/retinanet_r18_fpn_1x_coco",
    "Mask2Former": "mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic",
}


def main() -> int:
    """Try every type that is not in the results yet, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=None)
    parser.add_argument("--again", action="store_true", help="try those again that failed")
    parser.add_argument("--measure", nargs=2, metavar=("TYPE", "CONFIG"), help="one, in this process")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return 0
    results = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    configs = chosen()
    for kind in options.only or configs:
        name, failed = configs[kind], "why" in results.get(kind, {})
        if kind in results and not (options.again and failed):
            continue
        outcome = {"config": name, **in_a_process(__file__, LIMIT_S, kind, name)}
        print(kind, outcome, flush=True)
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        # Read anew: another process may be at other types.
        results = {**(json.loads(RESULT.read_text()) if RESULT.is_file() else {}), kind: outcome}
        RESULT.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
    print(f"{sum('loss' in entry for entry in results.values())} of {len(results)} types took a step and validated")
    return 0


def chosen() -> dict[str, str]:
    """Choose a config for each detector type: the smallest that builds, else the first."""
    builds = json.loads((RESULTS / "builds.json").read_text())
    trainable = set(json.loads((RESULTS / "parity.json").read_text())["configs"])
    found: dict[str, list[tuple[int, str]]] = {}
    for name, entry in builds.items():
        if "detector" in entry:
            # What cannot be trained, or does not build, comes last.
            size = entry.get("parameters", 10**12) + (0 if name in trainable else 10**11)
            found.setdefault(entry["detector"], []).append((size, name))
    return {kind: CONFIGS.get(kind, min(names)[1]) for kind, names in sorted(found.items())}


def measure(kind: str, name: str) -> dict[str, Any]:
    """Train one iteration and validate one batch, as the train command would.

    Returns:
        `loss`, `step_s`, `val_s`, `metric`, and `with` what it needed beyond the project's packages; or `why` not.
    """
    from vision_research.checks.extras import needed_modules

    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        try:
            lowered = lowered_of(words_of(kind, name, Path(folder)), Path(folder))
            further = [module for module in needed_modules(lowered) if find_spec(module)]
            return {**_step(lowered), **({"with": further} if further else {})}
        except Exception as error:
            return {"why": f"{type(error).__name__}: {error}".splitlines()[0][:300]}


def words_of(kind: str, name: str, work_dir: Path) -> list[str]:
    """The overrides with which a detector takes a step on the digits; what they name is made in `work_dir`."""
    others = list(OTHERS.get(kind, ()))
    has_bert = any("{bert}" in word for word in others) and find_spec("transformers")
    bert = make_bert(work_dir / "bert") if has_bert else "bert-base-uncased"
    proposals = write_digit_proposals(work_dir / "proposals") if any("{proposals}" in word for word in others) else None
    others = [word.format(config=name, bert=bert, proposals=proposals) for word in others]
    return [f"model=zoo/{name}", *WORDS, SIZE, "data.limit_train=4", "data.limit_val=1", *others]


def lowered_of(words: list[str], work_dir: Path) -> dict[str, Any]:
    """Compose, check and lower a training of one iteration."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from vision_research.checks.preflight import preflight
    from vision_research.checks.validation import check_data, look_at_data, validate
    from vision_research.config.compose import conf_dir, register
    from vision_research.config.schema import TrainConfig
    from vision_research.lowering import lower
    from vision_research.protocols import LoweringInputs
    from vision_research.registry import monitor_of, specify

    register(monitor_of)
    length = ("schedule.max_epochs=null", "schedule.max_iters=1", "schedule.val_interval=1", "schedule.warmup_iters=0")
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = OmegaConf.to_object(compose("train", overrides=[*words, *length, "tracking=none"]))
    assert isinstance(config, TrainConfig)
    run = specify(config)
    validate(run)
    facts = look_at_data(run)
    check_data(run, facts)
    lowered = lower(run, LoweringInputs.of(config.data, facts, work_dir))
    preflight(lowered)
    # Hundreds of megabytes that nobody reads.
    lowered["default_hooks"]["checkpoint"] |= {"interval": 10**9, "save_last": False, "save_best": None, "rule": None}
    return lowered


def _step(lowered: dict[str, Any]) -> dict[str, Any]:
    import torch
    from mmengine.config import Config
    from mmengine.hooks import Hook

    from vision_research.engine.jobs import WorkDirRunner

    seen: dict[str, Any] = {}

    class Probe(Hook):
        """Notes when a step and a validation begin and end, and what came of them."""

        priority = "LOWEST"

        def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
            seen["begun"] = time.perf_counter()

        def after_train_iter(
            self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
        ) -> None:
            seen["step_s"] = round(time.perf_counter() - seen.pop("begun"), 2)
            seen["loss"] = round(float((outputs or {})["loss"]), 4)

        def before_val_epoch(self, runner: Any) -> None:
            seen["begun"] = time.perf_counter()

        def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
            seen["val_s"] = round(time.perf_counter() - seen.pop("begun"), 2)
            seen["metric"] = next(iter(metrics or {}), None)

    torch.manual_seed(0)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    runner = WorkDirRunner.from_cfg(Config(lowered))
    runner.register_hook(Probe())
    runner.train()
    if not torch.isfinite(torch.tensor(seen["loss"])) or "val_s" not in seen:
        raise ValueError(f"the step or the validation gave nothing: {seen}")
    return seen


def in_a_process(program: str, limit_s: float, *words: str) -> dict[str, Any]:
    """Run `program --measure WORDS`, and return what it printed last; or `why` it did not."""
    command = [sys.executable, "-W", "ignore", program, "--measure", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return {"why": f"took more than {limit_s} s"}
    last = done.stdout.strip().splitlines()[-1:] or [""]
    if done.returncode or not last[0].startswith("{"):
        return {"why": (done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"])[0][:300]}
    return dict(json.loads(last[0]))


if __name__ == "__main__":
    sys.exit(main())
