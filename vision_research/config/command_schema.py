"""The typed trees of the commands that people use on a finished run: what each of them can be told.

Like `schema`, these are OmegaConf structured configs with real annotations. A value that is null is the run's own.
"""

from dataclasses import dataclass, field, fields, make_dataclass
from enum import Enum
from typing import Any, cast

from omegaconf import MISSING

from vision_research.config.schema import DataConfig, Device, ExportConfig, StorageConfig, TrackingConfig, TrainConfig

DataOverrides: Any = make_dataclass(
    "DataOverrides", [(key.name, cast(Any, key.type) | None, field(default=None)) for key in fields(DataConfig)]
)
"""Every key of the `data` group; one that is not typed is as the run was trained with."""


class Split(Enum):
    """Which images are evaluated."""

    val = "val"
    test = "test"


@dataclass
class SourceConfig:
    """Where the detector comes from: a run, or a checkpoint and its config.

    Attributes:
        run: work_dir of a run; or `runs:/ID` of a run in MLflow, or `s3://BUCKET/KEY` of one that is kept in S3, which
            is downloaded to `storage.runs`.
        checkpoint: weights, a file or `s3://BUCKET/KEY`; with `run`, in place of the run's best ones.
        config: MMEngine config of `checkpoint`, MMDetection's own or ours; a file or `s3://BUCKET/KEY`.
        trust_checkpoint: unpickle a checkpoint that holds more than weights, which runs code that the file brings.
        data: other data, or the same in another place; what is not typed is the run's.
        tracking: where `runs:/ID` is found, and whether results are recorded in the run.
        storage: where a downloaded run lies, and how S3 is reached.
    """

    run: str | None = None
    checkpoint: str | None = None
    config: str | None = None
    trust_checkpoint: bool = False
    data: DataOverrides = field(default_factory=DataOverrides)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)


@dataclass
class ExportCommand(SourceConfig):
    """One export.

    Attributes:
        export: what to make.
        images: folder of images to compare artifact and detector on, where there is no validation data.
    """

    export: ExportConfig = field(default_factory=ExportConfig)
    images: str | None = None


@dataclass
class PackCommand:
    """One packing.

    Attributes:
        data: the data set, on this machine or in S3.
        storage: how S3 is reached.
        out: folder in S3 that gets the shards, their index and the annotation files.
        shard_mb: size of a shard, 10^6 bytes.
    """

    data: DataConfig = field(default_factory=DataConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    out: str = MISSING
    shard_mb: int = 256


@dataclass
class RegisteringConfig(TrackingConfig):
    """Where results are recorded, and whether the artifact is registered.

    Attributes:
        register_as: registered model of which the artifact becomes a version, with the alias `challenger`.
        promote_metric: value on the test images that decides whether it becomes the `champion`.
        promote_margin: by how much it has to beat the champion's.
    """

    register_as: str | None = None
    promote_metric: str = "bbox_mAP"
    promote_margin: float = 0.0


@dataclass
class TestCommand(SourceConfig):
    """One evaluation.

    Attributes:
        artifact: exported model, or several, to evaluate beside the checkpoint.
        split: which images; without a test split, `test` is the validation split, and the result says so.
        device: where the checkpoint computes; artifacts run on the CPU.
        tracking: where results are recorded, and whether the artifact is registered.
        proposals: file (`.npz`) for what an RPN proposes on the images, as `data.train_proposals` reads it.
    """

    tracking: RegisteringConfig = field(default_factory=RegisteringConfig)
    artifact: Any = None
    proposals: str | None = None
    split: Split = Split.test
    device: Device = Device.auto


class ThresholdRule(Enum):
    """What a threshold is chosen for."""

    max_f1 = "max_f1"
    min_precision = "min_precision"
    min_recall = "min_recall"
    cost = "cost"


@dataclass
class ThresholdConfig:
    """How score thresholds are chosen.

    Attributes:
        rule: `max_f1`; `min_precision`: the highest recall with at least that precision; `min_recall`: the highest
            precision with at least that recall; `cost`: the least sum of costs.
        iou: the least overlap at which a detection finds an object.
        min_precision: for the rule of that name.
        min_recall: for the rule of that name.
        false_cost: for `cost`, of a detection that is none.
        missed_cost: for `cost`, of an object that is not found.
        min_support: a class with fewer objects takes the threshold that all classes share.
        nms_iou: NMS IoUs to try; the one with which the rule does best is kept. null keeps the detector's own.
        num_samples: how often the images are drawn anew for the intervals.
        output: folder for thresholds.json and the curves; null is `thresholds` in the folder of the run.
    """

    rule: ThresholdRule = ThresholdRule.max_f1
    iou: float = 0.5
    min_precision: float = 0.9
    min_recall: float = 0.9
    false_cost: float = 1.0
    missed_cost: float = 1.0
    min_support: int = 10
    nms_iou: list[float] | None = None
    num_samples: int = 1000
    output: str | None = None


@dataclass
class ThresholdCommand(SourceConfig):
    """One search of thresholds.

    Attributes:
        threshold: how they are chosen.
        artifact: exported model to choose them for; null is the checkpoint.
        device: where the checkpoint computes.
    """

    threshold: ThresholdConfig = field(default_factory=ThresholdConfig)
    artifact: str | None = None
    device: Device = Device.auto


@dataclass
class PredictCommand(SourceConfig):
    """Detections in images without annotations.

    Attributes:
        artifact: exported model to use in place of the checkpoint.
        images: folder, image, video, or folder in S3.
        out: folder for predictions.json and drawn images.
        score_thr: detections that score less are left out.
        thresholds: thresholds.json of a threshold search: each class has its own in place of `score_thr`.
        draw: write the images with their detections.
        draw_score_thr: detections that score less are not drawn; nothing is left out for it with `thresholds`.
        batch_size: images at once, for a checkpoint; an artifact takes one at a time.
        device: where the checkpoint computes.
    """

    artifact: str | None = None
    images: str | None = None
    out: str = "predictions"
    score_thr: float = 0.0
    thresholds: str | None = None
    draw: bool = False
    draw_score_thr: float = 0.3
    batch_size: int = 8
    device: Device = Device.auto


class Phase(Enum):
    """What images are loaded for."""

    train = "train"
    val = "val"
    test = "test"


@dataclass
class BrowseConfig:
    """Which images are drawn, and how.

    Attributes:
        phase: whose pipeline they go through; augmentation is that of `train`.
        stage: 1, or 2 for the weak pipeline at the end of a training (`aug.final`).
        num: images, spread evenly over the data set; `images` names them instead.
        images: names of image files, `[a.jpg, b.jpg]`.
        repeat: how often each is drawn: every time, chance augments it anew.
        steps: draw each image after every step of its pipeline, side by side.
        out: folder for the pictures.
    """

    phase: Phase = Phase.train
    stage: int = 1
    num: int = 16
    images: list[str] | None = None
    repeat: int = 1
    steps: bool = False
    out: str = "browse"


@dataclass
class BrowseCommand(TrainConfig):
    """A training that is not run but looked at: its words, and which of its images are drawn.

    Attributes:
        browse: which images are drawn, and how.
    """

    browse: BrowseConfig = field(default_factory=BrowseConfig)


COMMAND_SCHEMAS: dict[str, type[SourceConfig] | type[PackCommand] | type[BrowseCommand]] = {
    "browse": BrowseCommand,
    "pack": PackCommand,
    "export": ExportCommand,
    "test": TestCommand,
    "threshold": ThresholdCommand,
    "predict": PredictCommand,
}
"""The schema of each command by the name of its file in `conf/`."""
