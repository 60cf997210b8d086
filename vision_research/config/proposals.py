"""What a detector of given proposals asks of the other groups, and what those have that no other detector reads."""

from __future__ import annotations

from collections.abc import Iterator

from vision_research.config.dataset_tree import kind_of
from vision_research.config.lowering.proposals import STEPS, proposal_file, takes_proposals
from vision_research.config.needs import steps
from vision_research.config.schema import DataKind, TrainConfig

EXAMPLE = "zoo/fast_rcnn/fast-rcnn_r50_fpn_1x_coco"
MAKE = "python -m vision_research.test run=RUN_OF_AN_RPN proposals=FILE.npz"


def proposal_problems(config: TrainConfig) -> Iterator[str]:
    """Name what such a detector lacks, and what only it would read, each with what to type."""
    data = config.data
    if data.kind is DataKind.zoo:
        return
    train = (config.aug.recipe or {}).get("train")
    loads = [
        f"{place}.type={step['type']}" for place, step in steps(train, "aug.recipe.train") if kind_of(step) in STEPS
    ]
    if not takes_proposals(config.model):
        for key in ("train_proposals", "val_proposals", "test_proposals"):
            if value := getattr(data, key):
                kind = config.model.get("type")
                yield f"data.{key}={value}: model={kind} makes its own proposals. Leave it out, or type model={EXAMPLE}"
        if loads:
            assert config.aug.recipe is not None
            yield (
                f"{loads[0]}: aug=zoo/{config.aug.recipe['zoo']} needs proposals that were computed before, and "
                f"data={data.kind.value} has none for model={config.model.get('type')}, which makes its own. Type "
                f"another aug=OPTION, or model={EXAMPLE}"
            )
        return
    model = config.model["type"]
    if data.kind is DataKind.voc:
        yield f"data=voc: proposals of model={model} are told apart by COCO's image ids. Type data=coco"
        return
    if not loads:
        zoo = (config.model.get("recipe") or {}).get("zoo", EXAMPLE.removeprefix("zoo/"))
        yield f"model={model}: the pipelines of this aug load no proposals. Type aug=zoo/{zoo}"
    for split in ("train", "val", *(("test",) if data.test_ann is not None else ())):
        file = proposal_file(data, split)
        if file is None:
            yield (
                f"data.{split}_proposals is not set: model={model} classifies proposals that were computed before. "
                f"Type data.{split}_proposals=FILE.npz, or model=faster_rcnn, which makes its own. {MAKE} writes such "
                "a file"
            )
        elif not file.endswith(".npz"):
            # MMDetection's own are pickles, which run code when they are read.
            yield f"data.{split}_proposals={file}: is no .npz. Make one: {MAKE}"
