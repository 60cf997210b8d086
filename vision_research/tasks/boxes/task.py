"""The task of boxes: detection with or without masks, on data of any annotation format.

Other tasks on images with objects are subclasses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from vision_research.config.dataset_tree import fill_template
from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataConfig
from vision_research.config.traits import DetectorTraits
from vision_research.datasets.annotation_format import SplitFiles
from vision_research.datasets.digits.images import DIGITS
from vision_research.datasets.digits.maker import EmbeddedDataset
from vision_research.datasets.facts import DatasetFacts, gather_facts
from vision_research.datasets.formats import all_split_files, detection_dataset, detection_metric, split_files
from vision_research.protocols import DataFile, Feed, LoweringInputs, LoweringRun, MetricInfo, RunConfig, Task
from vision_research.storage.s3.path import as_path
from vision_research.tasks.class_count import set_class_count
from vision_research.tasks.loaders import plain_loader, repeated, shuffled


class Boxes(Task):
    """Detection, scored by COCO's average precision of boxes, and of masks where the detector gives them.

    Attributes:
        masked_data: remedy in the message for data without masks.
    """

    name = "boxes"
    embedded: ClassVar[EmbeddedDataset | None] = DIGITS
    metrics = {
        "CocoDetectionMetric": MetricInfo("coco/bbox_mAP"),
        "CocoMetric": MetricInfo("coco/bbox_mAP"),
        "CocoMetric:segm": MetricInfo("coco/segm_mAP"),
        "OVCocoMetric": MetricInfo("coco/bbox_mAP"),
        "LVISMetric": MetricInfo("lvis/bbox_AP"),
        "LVISFixedAPMetric": MetricInfo("lvis_fixed_ap/AP"),
        "VOCMetric": MetricInfo("pascal_voc/mAP"),
        "OpenImagesMetric": MetricInfo("openimages/mAP"),
        "CityScapesMetric": MetricInfo("cityscapes/mAP"),
        "CrowdHumanMetric": MetricInfo("crowd_human/AP"),
    }
    modules: ClassVar[tuple[str, ...]] = (
        "vision_research.datasets.voc.dataset",
        "vision_research.evaluation.coco_metric",
        "vision_research.transforms.load_image",
    )
    masked_data: ClassVar[str] = "one of boxes: model=rtmdet_tiny"

    def claims(self, traits: DetectorTraits, data: DataConfig) -> bool:
        """Claim every run; this task is asked last."""
        return True

    def look(self, data: DataConfig, splits: Sequence[str], more: Sequence[SplitFiles] = ()) -> DatasetFacts:
        """Read the annotation files, list the image folders, and decode some images."""
        classes = tuple(data.classes) if data.classes else None
        files = (*all_split_files(data, splits), *more)
        return gather_facts(as_path(data.root), files, classes, data.strict, max_pixels=data.max_pixels)

    def unfit(self, run: RunConfig, facts: DatasetFacts) -> Iterator[str]:
        """Name parts of the run that need masks where the annotations have none."""
        found = [*self._untrained_masks(run, facts)] if facts.masks == "none" else []
        yield from found
        if not found and facts.scored_masks == "none" and self.scores_masks(run.traits):
            yield (
                f"model={run.config.model['type']}: is scored on masks, and data.val_ann={run.data.val_ann} has no "
                "segmentation for every object. Type data.val_ann=FILE.json with masks, or one of boxes: "
                "model=rtmdet_tiny"
            )

    def scores_masks(self, traits: DetectorTraits) -> bool:
        """Return whether validation reads masks of the annotations."""
        return traits.has_masks

    def _untrained_masks(self, run: RunConfig, facts: DatasetFacts) -> Iterator[str]:
        remedy = f"data.train_ann={run.data.train_ann} has no segmentation for every object"
        if run.traits.has_masks:
            yield f"model={run.config.model['type']}: is trained on masks, and {remedy}. Type {self.masked_data}"
        steps = run.file_steps
        if masked := next((path for path, step in steps if step.get("with_mask")), None):
            yield f"{masked}.with_mask=true: {remedy}. Type {masked}.with_mask=false, or another aug=OPTION"

    def files(self, data: DataConfig) -> Iterator[DataFile]:
        """List the annotation files of the splits."""
        for split in all_split_files(data, ("train", "val", "test")):
            yield DataFile(split.key, split.ann, split.images, split.format.image_names)

    def set_classes(self, model: dict[str, Any], inputs: LoweringInputs) -> None:
        """Set the class count of every head that predicts the classes of the data."""
        set_class_count(model, len(inputs.classes), len(inputs.stuff))

    def dataset(self, run: LoweringRun, split: str) -> dict[str, Any]:
        """Return the data set of a split, without its pipeline and its feeds.

        Args:
            run: the run.
            split: `train`, `val` or `test`.
        """
        return detection_dataset(run.data, run.config.storage, run.inputs.classes, split)

    def loader(
        self, run: LoweringRun, split: str, template: Mapping[str, Any], feeds: Sequence[Feed]
    ) -> dict[str, Any]:
        """Return the loader of a split, which shuffles the training images only."""
        data, images = run.data, split_files(run.data, split).images
        dataset = self.full_dataset(run, split, template, feeds)
        if split == "train":
            own = next((sampler for feed in feeds if (sampler := feed.sampler(run))), None)
            loader = plain_loader(run, data.batch_size, images)
            return {**loader, "sampler": own or shuffled(run), "dataset": dataset}
        return {
            **plain_loader(run, data.val_batch_size, images),
            "drop_last": False,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "dataset": dataset,
        }

    def full_dataset(
        self, run: LoweringRun, split: str, template: Mapping[str, Any], feeds: Sequence[Feed]
    ) -> dict[str, Any]:
        """Return the data set of a split with its feeds, wrappers and pipelines.

        Args:
            run: the run.
            split: `train`, `val` or `test`.
            template: wrappers and pipelines with a placeholder for each data set.
            feeds: of the run.
        """
        datasets = [self.dataset(run, split)]
        for feed in feeds:
            datasets = feed.datasets(datasets, run, split)
        dataset = fill_template(dict(template), datasets)
        if split != "train":
            return dataset
        for feed in feeds:
            dataset = feed.finish_dataset(dataset, run)
        return repeated(dataset, run.data, several=len(datasets) > 1)

    def evaluator(self, run: RunConfig, split: str) -> dict[str, Any]:
        """Return the COCO metric of boxes, and of masks where the detector gives them."""
        return detection_metric(
            run.data, run.config.storage, split, ["bbox", "segm"] if run.traits.has_masks else "bbox"
        )

    def check_classes(self, trained: Sequence[str], facts: DatasetFacts, key: str) -> None:
        """Check the names of the classes, in any order."""
        found = (*facts.classes, *facts.stuff)
        if set(trained) != set(found):
            raise ConfigError(
                f"{key}: its classes are {', '.join(found)}; those of the detector are {', '.join(trained)}. Evaluate "
                "it on data of its own classes"
            )
