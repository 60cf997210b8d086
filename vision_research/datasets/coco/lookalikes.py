"""Describes files that are no COCO data sets but may be taken for one."""

from __future__ import annotations

from typing import Any

from vision_research.datasets.findings import show

_WANTED = "Type the path of a COCO file: a JSON object with the lists 'images', 'annotations' and 'categories'"


def describe_no_json(content: bytes, error: Exception) -> str:
    """Describe a file that cannot be parsed.

    Args:
        content: content of the file.
        error: error of the parser.
    """
    start = content[:200].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        return f"is empty. {_WANTED}"
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer and not the file itself. Type git lfs pull in the data set's repository"
    if start.startswith(b"<"):
        return "is XML. For Pascal VOC type data=voc; COCO annotations are JSON"
    if isinstance(error, RecursionError):
        return f"is nested too deeply. {_WANTED}"
    return f"is no JSON ({error}). {_WANTED}"


def describe_other_format(tree: Any) -> str:
    """Describe a parsed file that is no COCO data set; empty if it is one."""
    if isinstance(tree, list):
        return f"is a JSON list{_kind_of_list(tree)}. {_WANTED}"
    if not isinstance(tree, dict):
        return f"holds only {show(tree)}. {_WANTED}"
    wrong = [name for name in ("images", "annotations", "categories") if not isinstance(tree.get(name), list)]
    if not wrong:
        return _panoptic(tree["annotations"])
    if known := _known_tool(tree):
        return f"is {known}. Convert it to COCO first. {_WANTED}"
    absent = [f"no {name!r} list" for name in wrong]
    return f"has {' and '.join(absent)}; its keys are {show(sorted(map(show, tree))) if tree else 'none'}. {_WANTED}"


def _kind_of_list(tree: list[Any]) -> str:
    first = tree[0] if tree else None
    if isinstance(first, dict) and {"image_id", "score"} <= first.keys():
        return " of detections (COCO results), and no data set"
    if isinstance(first, dict) and {"image_id", "bbox"} <= first.keys():
        return " of annotations without 'images' and 'categories'"
    return ""


def _known_tool(tree: dict[str, Any]) -> str:
    if "shapes" in tree and "imagePath" in tree:
        return "a labelme file of one image"
    if "_via_img_metadata" in tree or any(isinstance(entry, dict) and "regions" in entry for entry in tree.values()):
        return "a project of the VGG Image Annotator (VIA)"
    if "data_list" in tree and "metainfo" in tree:
        return "a data set in OpenMMLab's own format"
    if isinstance(tree.get("videos"), list):
        return "a file by videos, as YouTube-VIS writes it (MMDetection's youtubevis2coco.py converts it)"
    if tree.get("type") == "FeatureCollection":
        return "GeoJSON"
    return ""


def _panoptic(annotations: list[Any]) -> str:
    if annotations and isinstance(annotations[0], dict) and "segments_info" in annotations[0]:
        return "holds COCO panoptic segments and no boxes. Detection needs the 'instances' file of the data set"
    return ""
