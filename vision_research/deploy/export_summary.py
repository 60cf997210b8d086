"""Describes an exported model in a few lines of text."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def describe_export(artifact: Path, manifest: dict[str, Any]) -> str:
    """Describe an exported model: its size, and how far it is from the detector in Python.

    Args:
        artifact: the exported file.
        manifest: its manifest.

    Returns:
        Lines of a name and a text each.
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
