"""Does `experiment=zoo/X` train what MMDetection's file X says? Compared key by key, for every trainable file.

    python benchmarks/zoo_parity.py [--only faster_rcnn/faster-rcnn_r50_fpn_1x_coco ...] [--write]

Each file is composed with Hydra, validated and lowered, as the command does, and held against `Config.fromfile`; tuples
are no lists. `--write` puts the outcome into benchmarks/results/zoo/parity.json. It returns 1 where a file differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from mmengine.config import Config
from omegaconf import OmegaConf

from vision_research.checks.validation import validate
from vision_research.config.compose import conf_dir, register
from vision_research.config.schema import TrainConfig
from vision_research.config.zoo import zoo_folder, zoo_options
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import monitor_of, specify

RESULT = Path(__file__).parent / "results" / "zoo" / "parity.json"
# What is ours in the config of a run, and not the file's. A path covers what is below it.
OURS = {
    "work_dir": "the folder of the run",
    "custom_imports": "registers our types, beside what the file imports",
    "randomness": "the seed is chosen and recorded, not drawn",
    "resume": "said by the launcher",
    "launcher": "said by the launcher",
    "find_unused_parameters": "written where the file leaves it at MMEngine's default",
    "visualizer.vis_backends": "records to MLflow",
    "log_processor.window_size": "logging",
    "default_hooks.logger": "logging",
    "default_hooks.checkpoint": "keeps the best checkpoint, and the last ones",
    "env_cfg.dist_cfg.timeout": "how long a rank waits for the others",
    "model.teacher_config": "the same file, by the place where MMDetection is installed",
    "train_cfg.type": "the same loop, which can resume in the middle of an epoch",
}
OUR_HOOKS = ("FiniteLossHook", "GracefulStopHook", "ThroughputHook", "ProgressHook")


def main() -> int:
    """Compare, print every difference and the count, and return 1 where there is one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=None)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    register(monitor_of)
    outcome: dict[str, list[str]] = {}
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        for name in options.only or zoo_options():
            found = compare(name)
            if found is not None:
                outcome[name] = found
                print("\n".join(f"{name}: {line}" for line in found[:10]), end="\n" if found else "", flush=True)
    equal = sum(not found for found in outcome.values())
    print(f"{equal} of {len(outcome)} trainable configs are what MMDetection's file says")
    if options.write:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        differing = {name: found for name, found in outcome.items() if found}
        summary = {"trainable": len(outcome), "equal": equal, "ours": OURS, "our_hooks": OUR_HOOKS}
        RESULT.write_text(json.dumps({**summary, "differing": differing, "configs": sorted(outcome)}, indent=1) + "\n")
    return int(equal < len(outcome))


def compare(name: str) -> list[str] | None:
    """Compare one file with what we train of it; Hydra has to be initialised.

    Returns:
        The differences; None where the file does not load here, or trains nothing.
    """
    try:
        wanted = Config.fromfile(zoo_folder() / f"{name}.py", import_custom_modules=False).to_dict()
    except Exception:
        return None
    if "model" not in wanted or not wanted.get("train_dataloader"):
        return None
    try:
        config = OmegaConf.to_object(compose("train", overrides=[f"experiment=zoo/{name}"]))
        assert isinstance(config, TrainConfig)
        validate(specify(config))
        got = lower(specify(config), LoweringInputs(Path("/runs/x"), (), num_train=0, on_gpu=True))
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    hooks = got["custom_hooks"]
    got["custom_hooks"] = [hook for hook in hooks if hook["type"] not in OUR_HOOKS]
    return list(differences({"custom_hooks": [], **wanted}, got))


def differences(wanted: Any, got: Any, path: str = "") -> Iterator[str]:
    """Yield every place where two trees differ, in value or in type, apart from what is ours."""
    if path in OURS:
        return
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key in [*wanted, *(key for key in got if key not in wanted)]:
            inner = f"{path}.{key}" if path else str(key)
            if inner in OURS:
                continue
            if key not in got:
                yield f"{inner}: is missing"
            elif key not in wanted:
                yield f"{inner}: is not in the file"
            else:
                yield from differences(wanted[key], got[key], inner)
    elif type(wanted) is type(got) and isinstance(wanted, (list, tuple)) and len(wanted) == len(got):
        for place, (one, other) in enumerate(zip(wanted, got, strict=True)):
            yield from differences(one, other, f"{path}[{place}]")
    elif type(wanted) is not type(got) or wanted != got:
        yield f"{path}: {wanted!r} in the file, {got!r} here"


if __name__ == "__main__":
    sys.exit(main())
