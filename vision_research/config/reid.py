"""What re-identification asks of the words of a run: crops with identities, and steps that pack draws of them."""

from __future__ import annotations

from collections.abc import Iterator

from vision_research.config.addresses import is_s3
from vision_research.config.dataset_tree import pipelines
from vision_research.config.lowering.reid import RANKED, REID_KINDS
from vision_research.config.schema import DataKind, TrainConfig
from vision_research.config.scoring import tells_identities

EXAMPLE = "zoo/reid/reid_r50_8xb32-6e_mot17train80_test-mot17val20"


def reid_problems(config: TrainConfig) -> Iterator[str]:
    """Name what does not go together, each with what to type."""
    model, data = config.model, config.data
    if data.kind is DataKind.zoo:
        return
    has_identities, asks = data.kind in REID_KINDS, tells_identities(model)
    if asks and not has_identities:
        yield (
            f"model={model['type']}: tells objects apart by crops of them with their identities, and "
            f"data={data.kind.value} has none. Type data=digits_reid, or data=reid data.root=FOLDER ... for your own"
        )
    elif has_identities and not asks:
        yield (
            f"data={data.kind.value}: has crops with identities and no boxes, and model={model.get('type')} finds "
            f"boxes. Type experiment=reid, or model={EXAMPLE}"
        )
    elif asks:
        yield from _unfit(config)


def _unfit(config: TrainConfig) -> Iterator[str]:
    data, frame = config.data, (config.aug.recipe or {}).get("train") or {}
    if not any(step["type"] == "PackReIDInputs" for pipeline in pipelines(frame) for step in pipeline):
        zoo = (config.model.get("recipe") or {}).get("zoo", EXAMPLE.removeprefix("zoo/"))
        yield f"model={config.model['type']}: the pipelines of this aug pack images with boxes. Type aug=zoo/{zoo}"
    for key in ("batch_size", "val_batch_size"):
        if getattr(data, key) != 1:
            yield (
                f"data.{key}={getattr(data, key)}: MMDetection's re-identification takes one draw of identities at a "
                f"time, and in validation one crop. Type data.{key}=1"
            )
    if data.limit_val is not None and data.limit_val <= RANKED:
        yield (
            f"data.limit_val={data.limit_val}: the {RANKED} crops nearest to one are looked at. Type "
            f"data.limit_val={RANKED + 1} or more"
        )
    if data.limit_train is not None:
        yield (
            f"data.limit_train={data.limit_train}: a step draws identities from the whole list. Type "
            "data.limit_train=null, and schedule.max_epochs=null schedule.max_iters=100 for a short training"
        )
    if is_s3(data.root):
        yield f"data.root={data.root}: MMDetection reads the lists of crops on this machine alone. Type data.root=DIR"
