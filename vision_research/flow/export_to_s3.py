"""Exported models that are to lie in S3: `export.output=s3://BUCKET/FOLDER/model.ts`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from vision_research.config.addresses import is_s3
from vision_research.storage.s3.settings import default_settings
from vision_research.storage.s3.verified import publish

logger = logging.getLogger(__name__)


def model_files(artifact: Path) -> list[Path]:
    """Name the files of an exported model: itself, OpenVINO's weights beside it, and the manifest."""
    weights = [artifact.with_suffix(".bin")] if artifact.suffix == ".xml" else []
    return [artifact, *weights, artifact.with_name(f"{artifact.name}.json")]


def publish_models(output: str | None, artifacts: Sequence[Path]) -> list[str]:
    """Put exported models into the folder of an address, each there whole and verified, or not at all.

    Args:
        output: `export.output` as it was typed; one that is no address in S3 needs nothing.
        artifacts: the models, on this machine, under the names that they get.

    Returns:
        The address of each model.

    Raises:
        S3Error: it may not be written, or the server was away for too long; the models stay where they are.
    """
    if output is None or not is_s3(output):
        return []
    folder = f"{output.rpartition('/')[0]}/"
    addresses = []
    for artifact in artifacts:
        logger.info("putting %s into %s", artifact, folder)
        addresses.append([publish(file, folder, default_settings()) for file in model_files(artifact)][0])
    return addresses
