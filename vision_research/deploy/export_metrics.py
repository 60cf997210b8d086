"""Turns the measurements of verified exports into metrics of the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def export_metrics(folder: Path) -> dict[str, dict[str, float]]:
    """Read the manifests in a folder.

    Args:
        folder: of exported models.

    Returns:
        The metrics of each format that was verified.
    """
    manifests = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.*.json"))]
    return {manifest["format"]: manifest_metrics(manifest) for manifest in manifests if manifest.get("verification")}


def manifest_metrics(manifest: dict[str, Any]) -> dict[str, float]:
    """Return the metrics of one manifest of a verified model."""
    checked = manifest["verification"]
    measured = checked["from_image"] or checked["from_tensor"]
    values = {
        "box_difference_px": measured["max_box_difference_px"],
        "score_difference": measured["max_score_difference"],
        "unmatched_share": checked["unmatched_share"],
        "seconds": checked["median_seconds"]["artifact"],
        "seconds_python": checked["median_seconds"]["python"],
        "size_mb": manifest["artifact"]["size_bytes"] / 1e6,
    }
    if precision := checked["average_precision"]:
        values |= {"mAP": precision["artifact"], "mAP_python": precision["python"]}
    return values
