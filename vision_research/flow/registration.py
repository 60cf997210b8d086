"""Registers an evaluated artifact in MLflow, and makes it the champion if its score is better."""

from __future__ import annotations

from typing import Any

from vision_research.config.command_schema import TestCommand
from vision_research.config.errors import ConfigError
from vision_research.flow.detectors import Detectors
from vision_research.inference.evaluate import Evaluated, dataset_digest
from vision_research.tracking.model_folder import served_model_files
from vision_research.tracking.registry import Candidate, register
from vision_research.tracking.run_record import RunRecord


def register_artifact(command: TestCommand, detectors: Detectors, result: Evaluated, dataset: Any) -> str:
    """Register the artifact with its score.

    Args:
        command: configuration of the command; `config.registration_rules` has checked it.
        detectors: the run, and the artifact to register.
        result: the scores of the artifact.
        dataset: the data set that it was evaluated on.

    Returns:
        A sentence with the version and whether it is the champion.

    Raises:
        UserError: the run is not tracked, there is no such metric, or MLflow does not accept the model.
    """
    tracking, source = command.tracking, detectors.source
    assert tracking.register_as is not None and source is not None and source.work_dir is not None
    if not source.is_tracked:
        raise ConfigError(f"tracking.register_as={tracking.register_as}: {source.work_dir.root} is no tracked run")
    value = result.scores.get(f"coco/{tracking.promote_metric}")
    if value is None:
        known = ", ".join(name.removeprefix("coco/") for name in result.scores)
        raise ConfigError(f"tracking.promote_metric={tracking.promote_metric}: is one of {known}")
    artifact = detectors.artifacts[0].artifact
    candidate = Candidate(
        name=tracking.register_as,
        digest=str(artifact.manifest.artifact["sha256"]),
        metric=tracking.promote_metric,
        value=value,
        data=dataset_digest(dataset),
        margin=tracking.promote_margin,
    )
    served = served_model_files(artifact.path, source.work_dir)
    if not served:
        raise ConfigError(
            f"artifact={artifact.path.name}: MLflow serves TorchScript that takes images. "
            "Type export=torchscript export.preprocess=true"
        )
    files = [artifact.path, artifact.path.with_name(f"{artifact.path.name}.json"), *served]
    made = register(RunRecord.read(source.work_dir.run_json), files, candidate)
    became = "the champion" if made.is_champion else "a challenger"
    return f"{candidate.name} version {made.version} is {became}: {made.reason}"
