"""Converts lists to tuples where MMCV and MMDetection require them; YAML and OmegaConf have only lists.

Not all lists can be converted: `Resize` refuses a list for `scale`, and `FPN` refuses a tuple for `in_channels`.
"""

from __future__ import annotations

from typing import Any

from vision_research.config.tree import as_tuples, kind_of, replace

# (transform, argument) whose constructor requires a tuple.
TUPLE_ARGUMENTS = {
    ("Resize", "scale"),
    ("RandomResize", "scale"),
    ("RandomResize", "ratio_range"),
    ("RandomChoiceResize", "scales"),
    ("FixScaleResize", "scale"),
    ("RandomCrop", "crop_size"),
    ("Pad", "size"),
    ("Pad", "pad_val"),
    ("CachedMosaic", "img_scale"),
    ("CachedMixUp", "img_scale"),
    ("CachedMixUp", "ratio_range"),
    ("CachedMixUp", "pad_val"),
    ("Mosaic", "img_scale"),
    ("MixUp", "img_scale"),
    ("MixUp", "ratio_range"),
    ("RandomAffine", "scaling_ratio_range"),
    ("RandomAffine", "border"),
    ("RandomAffine", "border_val"),
    ("FilterAnnotations", "min_gt_bbox_wh"),
    ("PackDetInputs", "meta_keys"),
    ("PackTrackInputs", "meta_keys"),
    ("PackReIDInputs", "meta_keys"),
}


def restore_step(step: Any) -> Any:
    """Return the config of a transform, and of those nested in it, with the required tuples."""
    return replace(step, lambda _, node: _with_tuple_arguments(node) if isinstance(node, dict) else node)


def _with_tuple_arguments(step: dict[str, Any]) -> dict[str, Any]:
    kind = kind_of(step)
    return {key: as_tuples(value) if (kind, key) in TUPLE_ARGUMENTS else value for key, value in step.items()}
