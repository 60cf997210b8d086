"""The typed trees of the commands that people use on a finished run: what each of them can be told.

Like `schema`, these are OmegaConf structured configs with real annotations. A value that is null is the run's own.
"""

from dataclasses import dataclass, field, fields, make_dataclass
from enum import Enum
from typing import Any, cast

from omegaconf import MISSING

from vision_research.config.schema import DataConfig, ExportConfig, StorageConfig, TrackingConfig

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
        run: work_dir of a run, or `runs:/ID` of a run in MLflow, which is downloaded to `storage.runs`.
        checkpoint: weights; with `run`, in place of the run's best ones.
        config: MMEngine config of `checkpoint`, MMDetection's own or ours.
        trust_checkpoint: unpickle a checkpoint that holds more than weights, which runs code that the file brings.
        data: other data, or the same in another place; what is not typed is the run's.
        tracking: where `runs:/ID` is found, and whether results are recorded in the run.
        storage: where a downloaded run lies.
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


COMMAND_SCHEMAS: dict[str, type[SourceConfig] | type[PackCommand]] = {"export": ExportCommand, "pack": PackCommand}
"""The schema of each command by the name of its file in `conf/`."""
