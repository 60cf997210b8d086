"""Which family exports each detector of the zoo, or what keeps every family from it?

    python benchmarks/zoo_families.py [--only NAME ...]

Looks at detectors that are built without weights, on the meta device where the constructor allows it; that an exported
one agrees with the detector is measured by export_table.py. Results are in benchmarks/results/zoo/families.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
import tempfile
import warnings
from collections import Counter
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import vision_research  # noqa: F401 (MMDetection imports the operators that it answers for)

# isort: split
import torch
from language_model import make_bert
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from zoo_builds import without_servers

from vision_research.config.zoo import zoo_folder, zoo_options
from vision_research.deploy.families.registry import FAMILIES
from vision_research.detectors.build import predicting_part, repaired

RESULT = Path(__file__).resolve().parent / "results" / "zoo" / "families.json"


def main() -> int:
    """Look at every detector that builds, write what was found, and count it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=None)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    register_all_modules(init_default_scope=True)
    if find_spec("mmpretrain"):
        import mmpretrain.models  # noqa: F401  # registers them
    # Synchronized normalization asks for the group of its ranks when it is made.
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    results = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        # Files name the config of a teacher from inside of MMDetection's repository.
        (Path(folder) / "configs").symlink_to(zoo_folder())
        os.chdir(folder)
        bert = make_bert(Path(folder) / "bert") if find_spec("transformers") else None
        for name in options.only or zoo_options():
            if (found := family_of(name, bert)) is not None:
                results[name] = found
    RESULT.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
    print(Counter("a family" if "family" in entry else "none" for entry in results.values()))
    return 0


def family_of(name: str, bert: Path | None) -> dict[str, str] | None:
    """Return the family of a zoo file's detector, or why none has it; None where it does not build here.

    Of the families that come near, the one is told that lacks least.
    """
    try:
        model = Config.fromfile(zoo_folder() / f"{name}.py", import_custom_modules=False).model
        detector = predicting_part(_built(ConfigDict(without_servers(model.to_dict(), bert))))
    except Exception:
        return None
    refusals = {family.name: family.refusals(detector) for family in FAMILIES}
    for family, reasons in refusals.items():
        if not reasons:
            return {"family": family}
    near = {family: reasons for family, reasons in refusals.items() if not any(map(_is_of_others, reasons))}
    if not near:
        return {"why": f"no family is for {_heads(detector)}"}
    family, reasons = min(near.items(), key=lambda item: len(item[1]))
    return {"why": f"{family.partition(' (')[0]}: {'; '.join(reasons)}"}


def _is_of_others(reason: str) -> bool:
    """Tell whether a family refuses a detector that is nothing like its own, or has masks besides."""
    return bool(re.match(r"it has no |it is no |its \w+ is no |its masks come from no |its masks would be", reason))


def _heads(detector: Any) -> str:
    parts = (getattr(detector, name, None) for name in ("bbox_head", "roi_head", "mask_head", "panoptic_head"))
    heads = [type(part).__name__ for part in parts if part is not None]
    return f"{type(detector).__name__} with {' and '.join(heads)}" if heads else type(detector).__name__


def _built(model: Any) -> Any:
    # Copied each time: constructors write into what they are given.
    try:
        with torch.device("meta"):
            return repaired(MODELS.build(deepcopy(model)))
    except Exception:
        # Some compute with what they have made.
        return repaired(MODELS.build(deepcopy(model)))


if __name__ == "__main__":
    sys.exit(main())
