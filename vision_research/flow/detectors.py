"""Finds the checkpoint and the artifacts that a command runs, and the images that it runs them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_research.config.command_schema import PredictCommand, SourceConfig, TestCommand, ThresholdCommand
from vision_research.config.errors import ConfigError
from vision_research.flow.source import Source, configure_s3, find_source
from vision_research.inference.evaluate import Images, build_dataset
from vision_research.inference.evaluation_data import (
    EvaluationData,
    classes_of,
    metric_of,
    split_of_config,
    split_of_typed,
    typed_data,
)
from vision_research.inference.predictors import (
    ArtifactPredictor,
    CheckpointPredictor,
    Predictor,
    load_config,
    register_everything,
)
from vision_research.tracking.tracked_run import adding_to

DetectingCommand = PredictCommand | TestCommand | ThresholdCommand


@dataclass(frozen=True)
class Detectors:
    """The detectors that a command runs.

    Attributes:
        source: run or checkpoint; None where only an artifact was given.
        config: MMEngine config of `source`, or None.
        classes: class names of all detectors, in the order of the labels.
        artifacts: exported models.
    """

    source: Source | None
    config: Any
    classes: tuple[str, ...]
    artifacts: tuple[ArtifactPredictor, ...]

    def checkpoint(self, command: DetectingCommand) -> CheckpointPredictor:
        """Load the checkpoint of the run."""
        assert self.source is not None, "without an artifact there is a run or a checkpoint"
        arguments = (self.classes, command.trust_checkpoint, command.device.value)
        return CheckpointPredictor(self.config, self.source.checkpoint, *arguments)

    def chosen(self, command: DetectingCommand) -> CheckpointPredictor | ArtifactPredictor:
        """Return the artifact, or load the checkpoint where no artifact was given."""
        return self.artifacts[0] if self.artifacts else self.checkpoint(command)

    def predictors(self, command: DetectingCommand) -> list[Predictor]:
        """List the checkpoint, where there is one, and the artifacts."""
        return [*([] if self.source is None else [self.checkpoint(command)]), *self.artifacts]

    def record(
        self, command: DetectingCommand, metrics: dict[str, float], tags: dict[str, str], files: Sequence[Path] = ()
    ) -> None:
        """Add results to the run, where there is one and it is tracked.

        Args:
            command: configuration of the command.
            metrics: values at the iteration of the checkpoint.
            tags: of the run.
            files: for the folder `thresholds`.
        """
        if self.source is None or (work_dir := self.source.recorded_in(command.tracking)) is None:
            return
        with adding_to(work_dir) as run:
            run.log_metrics(metrics, self.source.iteration)
            if tags:
                run.set_tags(tags)
            for path in files:
                run.log_artifact(path, "thresholds")

    def data(self, command: SourceConfig, split: str) -> EvaluationData:
        """Return the data of a split: from the `data` keys that were set, else from the run.

        Args:
            command: configuration of the command.
            split: `val` or `test`.

        Raises:
            ConfigError: there is no data, its files are missing or broken, or its classes differ.
        """
        typed = typed_data(command.data, {} if self.source is None else self.source.run_data)
        if typed is not None:
            metric = "bbox" if self.config is None else metric_of(self.config)
            return split_of_typed(typed, command.storage, self.classes, split, metric)
        if self.source is None:
            raise ConfigError("run is not set, so there are no images. Type run=..., or data=coco data.root=FOLDER ...")
        return split_of_config(self.config, self.source.config, split)

    def images(self, data: EvaluationData) -> Images:
        """Build the data set of a split, and the transform that loads an image with the options of the config."""
        from mmdet.registry import TRANSFORMS

        step: dict[str, Any] = {"type": "LoadImageFromFile"}
        if self.config is not None:
            loader = self.config.get("test_dataloader") or self.config.val_dataloader
            step = dict((loader.dataset.get("pipeline") or self.config.val_dataloader.dataset.pipeline)[0])
        load = TRANSFORMS.build({**step, "backend_args": data.dataset.get("backend_args")})
        return Images(build_dataset(data.dataset, self.classes), load)


def find_detectors(command: DetectingCommand) -> Detectors:
    """Find the detectors of a command, and check that their classes agree.

    Raises:
        UserError: a file is missing or broken, or an artifact has other classes than the run.
    """
    configure_s3(command)
    typed = [command.artifact] if isinstance(command.artifact, str) else command.artifact or []
    paths = list(map(Path, typed))
    alone = command.run is None and command.checkpoint is None and bool(paths)
    source = None if alone else find_source(command)
    register_everything()
    config = None if source is None else load_config(source.config)
    artifacts = tuple(ArtifactPredictor(path) for path in paths)
    classes = artifacts[0].classes if source is None else classes_of(config)
    for model in artifacts:
        if model.classes != classes:
            other = "the run" if source is not None else artifacts[0].name
            raise ConfigError(
                f"artifact={model.name}: its classes are {', '.join(model.classes)}; those of {other} are "
                f"{', '.join(classes)}. Type an artifact of the same run"
            )
    return Detectors(source, config, classes, artifacts)
