"""Copies exported models to S3: `export.output=s3://BUCKET/FOLDER/model.ts`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from vision_research.config.addresses import is_s3
from vision_research.storage.s3.settings import default_settings
from vision_research.storage.s3.transfer import publish

logger = logging.getLogger(__name__)


def model_files(artifact: Path) -> list[Path]:
    """Return the files of an exported model: itself, the weights beside an OpenVINO model, and the manifest."""
    weights = [artifact.with_suffix(".bin")] if artifact.suffix == ".xml" else []
    return [artifact, *weights, artifact.with_name(f"{artifact.name}.json")]


def publish_models(output: str | None, artifacts: Sequence[Path]) -> list[str]:
    """Copy exported models to a folder in S3, each as a whole and verified, or not at all.

    Args:
        output: `export.output` as it was typed; nothing is copied unless it is an address in S3.
        artifacts: the local files; they keep their names.

    Returns:
        The address of each model.

    Raises:
        S3Error: the folder may not be written, or the server did not answer in time; the local files remain.
    """
    if output is None or not is_s3(output):
        return []
    folder = f"{output.rpartition('/')[0]}/"
    addresses = []
    for artifact in artifacts:
        logger.info("putting %s into %s", artifact, folder)
        addresses.append([publish(file, folder, default_settings()) for file in model_files(artifact)][0])
    return addresses
