"""The task of identities: re-identification finds crops of the same object.

A training iteration compares a few crops of a few identities; the metrics rank crops by their distance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vision_research.config.addresses import absolute, is_s3
from vision_research.config.dataset_tree import fill_template, pipelines
from vision_research.config.schema import DataConfig, DataKind
from vision_research.config.traits import DetectorTraits
from vision_research.config.tree import kind_of
from vision_research.datasets.annotation_format import SplitFiles
from vision_research.datasets.facts import DatasetFacts
from vision_research.datasets.formats import COLLECT_DEVICE, all_split_files, split_files
from vision_research.protocols import Feed, LoweringInputs, LoweringRun, MetricInfo, RunConfig, Task
from vision_research.tasks.identities.embedded import DIGITS_REID
from vision_research.tasks.identities.lists import DRAWN, RANKED, gather_identities
from vision_research.tasks.loaders import plain_loader, shuffled

# Mean average precision and cumulative matching (arXiv:1610.02984), as MMDetection computes them.
METRIC = {"type": "ReIDMetrics", "metric": ["mAP", "CMC"], "collect_device": COLLECT_DEVICE}
EXAMPLE = "zoo/reid/reid_r50_8xb32-6e_mot17train80_test-mot17val20"


class Identities(Task):
    """Re-identification."""

    name = "identities"
    embedded = DIGITS_REID
    kinds = frozenset({DataKind.reid, DataKind.digits_reid})
    metrics = {"ReIDMetrics": MetricInfo("reid-metric/mAP", "identities")}
    needs = {"PackReIDInputs": "crops of persons with identities"}

    def claims(self, traits: DetectorTraits, data: DataConfig) -> bool:
        """Claim re-identification models, and data of crops."""
        return traits.is_reid or data.kind in self.kinds

    def fed_steps(self, data: DataConfig) -> frozenset[str]:
        """Return the packing transform, and the one that applies steps to each crop of a sample."""
        own = super().fed_steps(data)
        return own | {"TransformBroadcaster"} if own else own

    def problems(self, run: RunConfig) -> Iterator[str]:
        """Name a model of this task without such data, the reverse, and unsupported values of such a run."""
        model, data = run.config.model, run.data
        has_identities = data.kind in self.kinds
        if run.traits.is_reid and not has_identities:
            yield (
                f"model={model['type']}: compares crops of objects with identities, and "
                f"data={data.kind.value} has none. Type data=digits_reid, or data=reid data.root=FOLDER ... for your "
                "own"
            )
        elif has_identities and not run.traits.is_reid:
            yield (
                f"data={data.kind.value}: has crops with identities and no boxes, and model={model.get('type')} finds "
                f"boxes. Type experiment=reid, or model={EXAMPLE}"
            )
        elif has_identities:
            yield from self._unsupported_values(run)

    def _unsupported_values(self, run: RunConfig) -> Iterator[str]:
        model, data, template = run.config.model, run.data, (run.config.aug.recipe or {}).get("train") or {}
        if not any(kind_of(step) == "PackReIDInputs" for pipeline in pipelines(template) for step in pipeline):
            zoo = run.config.model_recipe.get("zoo", EXAMPLE.removeprefix("zoo/"))
            yield f"model={model['type']}: the pipelines of this aug pack images with boxes. Type aug=zoo/{zoo}"
        for key in ("batch_size", "val_batch_size"):
            if getattr(data, key) != 1:
                yield (
                    f"data.{key}={getattr(data, key)}: MMDetection's re-identification takes one draw of identities "
                    f"at a time, and in validation one crop. Type data.{key}=1"
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
            where = f"data.root={data.root}"
            yield f"{where}: MMDetection reads the lists of crops on this machine alone. Type data.root=DIR"

    def look(self, data: DataConfig, splits: Sequence[str], more: Sequence[SplitFiles] = ()) -> DatasetFacts:
        """Read the lists of crops, and check that the crops exist."""
        return gather_identities(data.root, all_split_files(data, splits))

    def set_classes(self, model: dict[str, Any], inputs: LoweringInputs) -> None:
        """Set the class count of the head to the number of training identities."""
        model["head"]["num_classes"] = len(inputs.classes)

    def loader(
        self, run: LoweringRun, split: str, template: Mapping[str, Any], feeds: Sequence[Feed]
    ) -> dict[str, Any]:
        """Return a loader; the data set draws the crops of a training sample."""
        training = split == "train"
        batch_size = run.data.batch_size if training else run.data.val_batch_size
        return {
            # The crops of a sample are drawn while it is loaded, so they cannot be prefetched.
            **plain_loader(run, batch_size, images=None),
            "sampler": shuffled(run) if training else {"type": "DefaultSampler", "shuffle": False},
            "dataset": fill_template(dict(template), [_dataset(run.data, run.inputs.classes, split)]),
        }

    def evaluator(self, run: RunConfig, split: str) -> dict[str, Any]:
        """Return MMDetection's metrics for re-identification."""
        return dict(METRIC)


def _dataset(data: DataConfig, identities: tuple[str, ...], split: str) -> dict[str, Any]:
    files = split_files(data, split)
    limit = {"train": data.limit_train, "val": data.limit_val}.get(split)
    return {
        "type": "ReIDDataset",
        "data_root": absolute(data.root),
        "ann_file": files.ann,
        "data_prefix": {"img_path": files.images},
        "metainfo": {"classes": identities},
        "triplet_sampler": dict(DRAWN) if split == "train" else None,
        **({} if split == "train" else {"test_mode": True}),
        **({} if limit is None else {"indices": limit}),
    }
