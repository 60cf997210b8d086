"""The schemas of the commands other than `train`: like `schema`, structured configs with real annotations."""

from dataclasses import dataclass, field, fields, make_dataclass
from enum import Enum
from typing import Any, cast

from omegaconf import MISSING

from vision_research.config import schema
from vision_research.config.schema import DataConfig, Device, ExportConfig, StorageConfig, TrackingConfig, TrainConfig

DataOverrides: Any = make_dataclass(
    "DataOverrides", [(key.name, cast(Any, key.type) | None, field(default=None)) for key in fields(DataConfig)]
)
"""Every key of the `data` group; a key that is null keeps the value that the run was trained with."""


class Split(Enum):
    """Which images are evaluated."""

    val = "val"
    test = "test"


@dataclass
class SourceConfig:
    """Where the detector comes from: a run, or a checkpoint and its config.

    Attributes:
        run: work_dir of a run, `runs:/ID` of a run in MLflow, or `s3://BUCKET/KEY` of a run in S3. The latter two are
            downloaded to `storage.runs`.
        checkpoint: file or `s3://BUCKET/KEY` with weights; with `run`, it replaces the run's best checkpoint.
        config: MMEngine config of `checkpoint`, from MMDetection or from a run; a file or `s3://BUCKET/KEY`.
        trust_checkpoint: unpickle a checkpoint that holds more than weights, which can run code from the file.
        trust_config: load a config from MLflow or S3 that can run code, as by importing modules of its own. One of
            this machine is executed as it is.
        data: other data; a key that is null keeps the run's value.
        tracking: where `runs:/ID` is looked up, and whether results are recorded in the run.
        storage: where a downloaded run is stored, and how S3 is reached.
        ops: who computes mmcv's operators, as in a training.
    """

    run: str | None = None
    checkpoint: str | None = None
    config: str | None = None
    trust_checkpoint: bool = False
    trust_config: bool = False
    data: DataOverrides = field(default_factory=DataOverrides)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    ops: schema.Ops = schema.Ops.auto


@dataclass
class ExportCommand(SourceConfig):
    """Configuration of the `export` command.

    Attributes:
        export: formats and options of the exported model.
        images: folder of images for the verification, where there is no validation data.
    """

    export: ExportConfig = field(default_factory=ExportConfig)
    images: str | None = None


@dataclass
class PackCommand:
    """Configuration of the `pack` command.

    Attributes:
        data: the data set, local or in S3.
        storage: how S3 is reached.
        out: folder in S3 to which the shards, their index and the annotation files are written.
        shard_mb: size of a shard in units of 10^6 bytes.
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
        promote_metric: metric on the test images that decides whether it becomes the `champion`.
        promote_margin: by how much its value has to exceed the champion's.
    """

    register_as: str | None = None
    promote_metric: str = "bbox_mAP"
    promote_margin: float = 0.0


@dataclass
class TestCommand(SourceConfig):
    """Configuration of the `test` command.

    Attributes:
        artifact: one exported model, or a list, to evaluate beside the checkpoint.
        split: which images; without a test split, `test` means the validation split, and the result says so.
        device: device of the checkpoint; artifacts run on the CPU.
        tracking: where results are recorded, and whether the artifact is registered.
        proposals: `.npz` file to which the proposals of an RPN are written; `data.train_proposals` reads such a file.
    """

    tracking: RegisteringConfig = field(default_factory=RegisteringConfig)
    artifact: Any = None
    proposals: str | None = None
    split: Split = Split.test
    device: Device = Device.auto


class ThresholdRule(Enum):
    """The objective by which score thresholds are chosen."""

    max_f1 = "max_f1"
    min_precision = "min_precision"
    min_recall = "min_recall"
    cost = "cost"


@dataclass
class ThresholdConfig:
    """How score thresholds are chosen.

    Attributes:
        rule: `max_f1`; `min_precision`: the highest recall with at least that precision; `min_recall`: the highest
            precision with at least that recall; `cost`: the lowest sum of costs.
        iou: minimum IoU at which a detection matches an object.
        min_precision: for the rule of that name.
        min_recall: for the rule of that name.
        false_cost: for `cost`, the cost of a false positive.
        missed_cost: for `cost`, the cost of a false negative.
        min_support: a class with fewer objects uses the threshold that is chosen for all classes together.
        nms_iou: NMS IoU thresholds to try; the best one by `rule` is used. null keeps the detector's own.
        num_samples: number of bootstrap samples of the images, for the confidence intervals.
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
    """Configuration of the `threshold` command.

    Attributes:
        threshold: how thresholds are chosen.
        artifact: exported model to choose them for; null uses the checkpoint.
        device: device of the checkpoint.
    """

    threshold: ThresholdConfig = field(default_factory=ThresholdConfig)
    artifact: str | None = None
    device: Device = Device.auto


@dataclass
class PredictCommand(SourceConfig):
    """Configuration of the `predict` command.

    Attributes:
        artifact: exported model to use in place of the checkpoint.
        images: folder, image, video, or folder in S3.
        out: folder for predictions.json and drawn images.
        score_thr: lowest score of a detection that is written.
        thresholds: thresholds.json of the `threshold` command; its threshold of each class replaces `score_thr`.
        draw: write the images with their detections.
        draw_score_thr: lowest score of a detection that is drawn; not used with `thresholds`.
        batch_size: images per batch of a checkpoint; an artifact takes one at a time.
        device: device of the checkpoint.
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
    """The split whose pipeline is shown."""

    train = "train"
    val = "val"
    test = "test"


@dataclass
class BrowseConfig:
    """Which images are drawn, and how.

    Attributes:
        phase: whose pipeline is applied; `train` augments.
        stage: 1, or 2 for the weak pipeline at the end of a training (`aug.final`).
        num: number of images, spread evenly over the data set.
        images: names of image files (`[a.jpg, b.jpg]`), in place of `num`.
        repeat: how often each image is drawn, each time with another random augmentation.
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
    """Configuration of the `browse` command: that of a training, and which of its images are drawn.

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
