"""Does every detector of the zoo build here, as MMDetection builds it from its file, and with the classes of our data?

    python benchmarks/zoo_builds.py [--only NAME ...] [--limit 100] [--again]

Without weights, on the meta device where the constructor allows it. Names and shapes of the state are compared with
what MMDetection builds from the file, as it builds it inside of its repository, where files name teachers. Teachers are
untrained, and the BERT of detectors that read text is one with random weights, since both lie on servers. Goes on where
it was: results are in benchmarks/results/zoo/builds.json. `--again` tries those again that did not build; with further
packages installed (`vision-research[language]`, `[mmpretrain]`), `with` names those that an entry needs.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import warnings
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import vision_research  # noqa: F401 (MMDetection imports the operators that it answers for)

# isort: split
import torch
from hydra import compose, initialize_config_dir
from language_model import HUB_NAME, make_bert
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from omegaconf import OmegaConf

from vision_research.checks.extras import needed_modules
from vision_research.config.compose import conf_dir, register
from vision_research.config.schema import DataKind, TrainConfig
from vision_research.config.zoo import zoo_folder, zoo_options
from vision_research.datasets.digits.images import CLASSES
from vision_research.lowering.model import lower_model
from vision_research.protocols import LoweringInputs, LoweringSpec
from vision_research.registry import monitor_of, specify

RESULT = Path(__file__).resolve().parent / "results" / "zoo" / "builds.json"
Shapes = dict[str, tuple[int, ...]]


def main() -> int:
    """Build what is not in the results yet, write them, and print what is wrong; return 1 where something is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=None)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--again", action="store_true", help="try those again that did not build")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    register(monitor_of)
    register_all_modules(init_default_scope=True)
    if find_spec("mmpretrain"):
        import mmpretrain.models  # noqa: F401  # registers them
    # Synchronized normalization asks for the group of its ranks when it is made.
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    results = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    done = {name for name, entry in results.items() if not (options.again and entry["outcome"] == "not here")}
    todo = [name for name in options.only or zoo_options() if options.only or name not in done]
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(conf_dir()), version_base="1.3"):
        # Files name the config of a teacher from inside of MMDetection's repository.
        (Path(folder) / "configs").symlink_to(zoo_folder())
        os.chdir(folder)
        bert = make_bert(Path(folder) / "bert") if find_spec("transformers") else None
        for number, name in enumerate(todo[: options.limit]):
            results[name] = judge(name, bert)
            print(name, results[name], flush=True)
            if number % 20 == 19:
                _write(results)
    _write(results)
    counts = Counter(entry.get("outcome") for entry in results.values())
    print(dict(counts))
    return int(bool(counts["differs"] or counts["not with other classes"]))


def judge(name: str, bert: Path | None) -> dict[str, Any]:
    """Build one detector three times: from MMDetection's file, from ours, and from ours with the digits' classes.

    Args:
        name: of the file.
        bert: folder of a language model; None where transformers is not installed.

    Returns:
        `outcome`: `same`, `differs`, `not with other classes`, `not here` (MMDetection does not build it either),
        or `no model`; and what there is to say.
    """
    try:
        file = Config.fromfile(zoo_folder() / f"{name}.py", import_custom_modules=False)
    except Exception as error:
        return {"outcome": "not here", "why": _said(error)}
    if "model" not in file:
        return {"outcome": "no model"}
    about = {"detector": file.model.type, "backbone": _backbone(file.model)}
    if further := [module for module in needed_modules(file.model.to_dict()) if find_spec(module)]:
        about["with"] = further
    try:
        theirs = shapes(without_servers(file.model.to_dict(), bert))
    except Exception as error:
        return {**about, "outcome": "not here", "why": _said(error)}
    try:
        own, digits = lowered(name, file.model, bert)
        ours = shapes(own)
    except Exception as error:
        return {**about, "outcome": "differs", "why": _said(error)}
    if ours != theirs:
        different = sorted(set(ours.items()) ^ set(theirs.items()))[:3]
        return {**about, "outcome": "differs", "why": str(different)}
    if isinstance(digits, str):
        return {**about, "outcome": "same", "other classes": digits, "parameters": _count(theirs)}
    try:
        changed = {key for key, shape in shapes(digits).items() if theirs.get(key) != shape}
    except Exception as error:
        return {**about, "outcome": "not with other classes", "why": _said(error)}
    return {**about, "outcome": "same", "other classes": len(changed), "parameters": _count(theirs)}


def without_servers(model: Any, bert: Path | None) -> Any:
    """Return a detector of MMDetection's with an untrained teacher, and a language model that lies here."""
    if isinstance(model, dict):
        absent = {"teacher_ckpt": None, "pretrained": False}
        return {key: absent[key] if key in absent else without_servers(value, bert) for key, value in model.items()}
    if isinstance(model, (list, tuple)):
        return type(model)(without_servers(value, bert) for value in model)
    return str(bert) if model == HUB_NAME and bert is not None else model


def lowered(name: str, model: Any, bert: Path | None) -> tuple[dict[str, Any], dict[str, Any] | str]:
    """Lower a detector with the classes of its file, and with those of the digits; or say why not those."""
    here = ["model.teacher_ckpt=null"] if "teacher_ckpt" in model else []
    here += ["model.backbone.pretrained=false"] if "pretrained" in (model.get("backbone") or {}) else []
    here += [f"model.language_model.name={bert}"] if "language_model" in model and bert else []
    words = [f"model=zoo/{name}", "data=digits", "schedule=1x", "aug=none", "model.weights=backbone", *here]
    config = OmegaConf.to_object(compose("train", overrides=words))
    assert isinstance(config, TrainConfig)
    # Synchronized normalization is plain on a CPU; here the detector is compared as it is on GPUs.
    inputs = LoweringInputs(Path("/runs/x"), CLASSES, num_train=400, on_gpu=True)
    size = config.model["recipe"]["image_size"]
    own = replace(config, data=replace(config.data, kind=DataKind.zoo), image_size=size)
    try:
        digits: dict[str, Any] | str = lower_model(LoweringSpec(**vars(specify(config)), inputs=inputs))
    except Exception as error:
        digits = _said(error)
    return lower_model(LoweringSpec(**vars(specify(own)), inputs=inputs)), digits


def shapes(model: dict[str, Any]) -> Shapes:
    """Build a detector and return the shape of everything in its state by name."""
    # Copied each time: constructors write into what they are given.
    try:
        with torch.device("meta"):
            built = MODELS.build(ConfigDict(deepcopy(dict(model))))
    except Exception:
        # Some compute with what they have made.
        built = MODELS.build(ConfigDict(deepcopy(dict(model))))
    return {name: tuple(value.shape) for name, value in built.state_dict().items()}


def _backbone(model: Any) -> str:
    found = model.get("backbone") or (model.get("detector") or {}).get("backbone") or {}
    kind, depth = str(found.get("type", "")), found.get("depth")
    return kind if depth is None else f"{kind}-{depth}"


def _count(state: Shapes) -> int:
    return sum(torch.Size(shape).numel() for shape in state.values())


def _said(error: Exception) -> str:
    # Where MMDetection is installed says nothing about the config, and spaces come from lines broken in its source.
    text = f"{type(error).__name__}: {error}".replace(f"{zoo_folder()}/", "configs/")
    return " ".join(text.split())[:300]


def _write(results: dict[str, Any]) -> None:
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
