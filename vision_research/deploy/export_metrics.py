"""Tells from manifests what the checks of exported models measured: as metrics of the run, and as lines of text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def export_metrics(folder: Path) -> dict[str, dict[str, float]]:
    """Read the manifests in a folder: the metrics of each format that was verified."""
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


def describe_export(artifact: Path, manifest: dict[str, Any]) -> str:
    """Describe an exported model in lines of text: its size, and how far it is from the detector in Python.

    Args:
        artifact: the exported file.
        manifest: its manifest.
    """
    lines = [("artifact", f"{artifact}  ({manifest['artifact']['size_bytes'] / 1e6:.1f} MB)")]
    if checked := manifest["verification"]:
        measured = checked["from_image"] or checked["from_tensor"]
        differences = (
            f"boxes within {measured['max_box_difference_px']:.2g} px, scores within "
            f"{measured['max_score_difference']:.2g} of the detector in Python, on {checked['num_images']} images"
        )
        if checked["unmatched_share"]:
            differences += f"; {checked['unmatched_share']:.2%} of the detections have no partner"
        lines.append(("verified", differences))
        if precision := checked["average_precision"]:
            both = f"{precision['artifact']:.4f}, the detector's {precision['python']:.4f}"
            lines.append(("mAP", f"{both}, on {precision['num_images']} images"))
    return "\n".join(f"{name:<8}  {value}" for name, value in lines)
