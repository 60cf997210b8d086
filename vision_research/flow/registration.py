"""Registers an artifact that was evaluated, on request, and lets it challenge the champion."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from vision_research.config.command_schema import Split, TestCommand
from vision_research.config.errors import ConfigError
from vision_research.config.schema import Tracker
from vision_research.engine.evaluate import Evaluated
from vision_research.flow.detectors import Detectors
from vision_research.flow.model_record import SERVED_SUFFIX, served_model_files
from vision_research.tracking.registry import Candidate, register
from vision_research.tracking.run_record import RunRecord


def check_registration(words: TestCommand) -> None:
    """Refuse to register what cannot be, before anything is computed.

    Raises:
        ConfigError: no artifact, several, one that MLflow does not serve, or no run to register it from.
    """
    tracking = words.tracking
    if tracking.register_as is None:
        return
    problems = []
    if not (isinstance(words.artifact, str) and Path(words.artifact).suffix == SERVED_SUFFIX):
        problems.append(f"artifact={words.artifact}: one TorchScript file is registered. Type artifact=model.ts")
    if words.run is None or tracking.kind is Tracker.none:
        problems.append("a version belongs to a tracked run. Type run=WORK_DIR, and leave tracking=none out")
    if words.split is not Split.test:
        problems.append("the test images decide. Leave split out")
    if tracking.promote_margin < 0:
        problems.append(f"tracking.promote_margin={tracking.promote_margin}: has to be 0 or more")
    if problems:
        raise ConfigError([f"tracking.register_as={tracking.register_as}: {problem}" for problem in problems])


def register_artifact(words: TestCommand, detectors: Detectors, result: Evaluated, dataset: Any) -> str:
    """Register the artifact with what it scored, and say what came of it.

    Raises:
        UserError: the run is not tracked, there is no such metric, or MLflow does not take it.
    """
    tracking, source = words.tracking, detectors.source
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
        data=_digest(dataset),
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


def _digest(dataset: Any) -> str:
    """Digest names and annotations of the images, so that values on other images are not compared."""
    digest = hashlib.sha256()
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        boxes = [[item["bbox_label"], *map(float, item["bbox"])] for item in info["instances"]]
        digest.update(json.dumps([Path(info["img_path"]).name, boxes]).encode())
    return digest.hexdigest()[:16]
