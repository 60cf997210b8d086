"""Fills in the manifest of a file: where it came from, what it takes and gives, and what its check measured."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from vision_research.deploy.artifact.manifest import OUTPUT, Manifest, sha256
from vision_research.deploy.build.input_spec import InputSpec
from vision_research.deploy.build.source import Source
from vision_research.deploy.check.difference import Difference
from vision_research.deploy.check.reference import PythonDetector
from vision_research.deploy.check.verify import CaseResult, Verification
from vision_research.deploy.formats.job import Job
from vision_research.deploy.formats.registry import format_of
from vision_research.deploy.request import ExportRequest

MASKS = {"masks": "(N, H, W) bool, pixels of the image given"}
BATCH_OUTPUT = {
    "boxes": "(B, K, 4) float32, xyxy, pixels of the image given; zeros past an image's count",
    "scores": "(B, K) float32, descending; zeros past an image's count",
    "labels": "(B, K) int64, index into classes; -1 past an image's count",
    "counts": "(B,) int64, detections of each image; K is the largest",
}
BATCH_MASKS = {"masks": "(B, K, H, W) bool, pixels of the image given; empty past an image's count"}


def describe(
    name: str,
    request: ExportRequest,
    job: Job,
    source: Source,
    reference: PythonDetector,
    path: Path,
    verification: Verification | None,
) -> Manifest:
    """Make the manifest of a file that was written.

    Args:
        name: name of the format.
        request: the request of the export.
        job: what was written.
        source: what the export started from.
        reference: the detector in Python.
        path: the file.
        verification: what the check measured; None where there was none.
    """
    per_class = job.form.lowest_scores
    boxes, masks = (OUTPUT, MASKS) if request.batch == 1 else (BATCH_OUTPUT, BATCH_MASKS)
    output = {**boxes, **(masks if job.gives_masks else {})}
    return Manifest(
        artifact=describe_artifact(path, path.name),
        detector=type(source.detector).__name__,
        classes=source.classes,
        input=describe_input(job.spec) if request.preprocess else describe_tensor(job.spec),
        thresholds={
            "score_thr": reference.score_thr,
            "nms_iou": reference.nms_iou,
            "max_per_img": reference.max_per_img,
            **({} if per_class is None else {"per_class": dict(zip(source.classes, per_class, strict=True))}),
        },
        checkpoint={"file": request.checkpoint.name, "sha256": sha256(request.checkpoint)},
        run_id=request.run_id,
        verification=describe_verification(verification) if verification else None,
        output=output
        if request.preprocess
        else {key: text.replace("image given", "tensor given") for key, text in output.items()},
        format=name,
        precision=request.precision,
        batch=request.batch,
    )


def describe_artifact(path: Path, name: str) -> dict[str, Any]:
    """Describe the file of a saved model, and the file of weights beside it: name, sha256 and size in bytes.

    Args:
        path: where the file is now.
        name: its final name.
    """
    described: dict[str, Any] = {"file": name, "sha256": sha256(path), "size_bytes": path.stat().st_size}
    if suffix := format_of(path).weights_suffix:
        weights = path.with_suffix(suffix)
        described["size_bytes"] += weights.stat().st_size
        described["weights"] = {"file": Path(name).with_suffix(suffix).name, "sha256": sha256(weights)}
    return described


def describe_input(spec: InputSpec) -> dict[str, Any]:
    """Describe an image that an exported model takes, and what the model does to it."""
    canvas = None if spec.canvas is None else {"height": spec.canvas[0], "width": spec.canvas[1]}
    rule = f"bilinear as OpenCV resizes {'float32' if spec.resizes_floats else '8-bit'} images, " + (
        "aspect ratio kept: long and short edge within the scale" if spec.keep_ratio else "to the scale"
    )
    return {
        "layout": "HWC",
        "dtype": "uint8",
        "colour_order": "BGR",
        "size": "any",
        "resize": None if spec.centred else {"scale": list(spec.scale), "keep_ratio": spec.keep_ratio, "rule": rule},
        "canvas": canvas if canvas else "follows the image",
        "padding": {
            "before_normalisation": list(spec.pad_value) if spec.pad_before_normalise else None,
            "divisor": max(spec.pad_divisor, spec.tensor_divisor),
            "network_divisor": spec.network_divisor,
            "to_square": spec.pad_to_square,
            "centred": spec.centred > 0,
            "after_normalisation": spec.tensor_pad_value,
        },
        "normalisation": {"mean": list(spec.mean), "std": list(spec.std), "to_rgb": spec.bgr_to_rgb},
    }


def describe_tensor(spec: InputSpec) -> dict[str, Any]:
    """Describe the tensor that an exported model takes, and the preprocessing, which is left to the caller."""
    smallest, largest = spec.tensor_bounds
    return {
        "layout": "NCHW",
        "dtype": "float32",
        "size": {"smallest": list(smallest), "largest": list(largest), "divisor": spec.divisor},
        "made_by_caller": describe_input(spec),
    }


def describe_verification(verification: Verification) -> dict[str, Any]:
    """Describe the tolerances, and what was measured in total and for each image."""
    cases = verification.cases
    measured = verification.average_precision
    described: dict[str, Any] = {
        "num_images": len(cases),
        "num_detections": sum(case.overall.num_expected for case in cases),
        "unmatched_share": verification.unmatched_share,
        "allowed_unmatched_share": verification.bounds.tolerance.unmatched,
        "from_tensor": _measured(verification, [case.from_tensor for case in cases if case.from_tensor]),
        "from_image": _measured(verification, [case.from_image for case in cases if case.from_image]),
        "average_precision": None,
        "median_seconds": {"python": round(verification.python_s, 4), "artifact": round(verification.artifact_s, 4)},
        "images": [_describe_case(case) for case in cases],
    }
    if measured is not None:
        described["average_precision"] = {
            **asdict(measured),
            "difference": measured.difference,
            "allowed_difference": verification.bounds.average_precision,
        }
    return described


def _measured(verification: Verification, differences: list[Difference]) -> dict[str, float] | None:
    """The largest differences between partners and what was allowed; None where there are no differences."""
    if not differences:
        return None
    allowed = verification.bounds.tolerance
    measured = {
        "max_box_difference_px": max(difference.box_px for difference in differences),
        "max_score_difference": max(difference.score for difference in differences),
        "allowed_box_difference_px": allowed.box_px,
        "allowed_score_difference": allowed.score,
    }
    masks = [difference.mask for difference in differences if difference.mask is not None]
    if masks:
        measured |= {"max_mask_difference": max(masks), "allowed_mask_difference": allowed.mask}
    return measured


def _describe_case(case: CaseResult) -> dict[str, Any]:
    found = case.overall
    masks = {} if found.mask is None else {"mask_difference": found.mask}
    return {
        "name": case.name,
        "num_detections": found.num_expected,
        "box_difference_px": found.box_px,
        "score_difference": found.score,
        "num_unmatched": found.unmatched,
        **masks,
    }
