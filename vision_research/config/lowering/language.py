"""Lowers detectors that read the classes as text (GLIP, GroundingDINO): samples carry the names, one model reads them.

Such a detector finds what a sentence of class names says, so every sample needs that sentence, from the data set
through all transforms to the packed sample.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vision_research.config.addresses import absolute
from vision_research.config.dataset_tree import kind_of

# What MMDetection's PackDetInputs packs where it is told nothing.
PACKED = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")
# The names, and that each of them is one entity: otherwise nltk would look for nouns in them.
TEXT_KEYS = ("text", "custom_entities")
# Draws some of the names for each image, and cuts them into the words of the language model.
DRAWING = "RandomSamplingNegPos"

Step = dict[str, Any]


def reads_text(model: dict[str, Any]) -> bool:
    """Tell whether a detector reads the names of the classes."""
    return isinstance(model.get("language_model"), dict)


def with_text(dataset: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """Return a data set that gives the names of its classes with every sample, where the detector reads them."""
    return {**dataset, "return_classes": True} if reads_text(model) else dataset


def packing_text(pipeline: list[Step], model: dict[str, Any]) -> list[Step]:
    """Return a pipeline around our data that keeps the names of the classes, where the detector reads them."""
    if not reads_text(model):
        return pipeline
    kept: list[Step] = []
    for step in naming_tokenizer(pipeline, model):
        kind = kind_of(step)
        if kind == "PackDetInputs":
            keys = tuple(step.get("meta_keys") or PACKED)
            kept.append({**step, "meta_keys": (*keys, *(key for key in TEXT_KEYS if key not in keys))})
        elif kind != "LoadTextAnnotations":
            # That one makes a list of the texts of another kind of annotations; ours are one already.
            kept += [{"type": "NamesByLabel"}, step] if kind == DRAWING else [step]
    return kept


def naming_tokenizer(pipeline: list[Step], model: dict[str, Any]) -> list[Step]:
    """Return a pipeline whose texts are cut into the words of the detector's own language model."""
    if not reads_text(model):
        return pipeline
    name = _found(model["language_model"].get("name"))
    return [{**step, "tokenizer_name": name} if kind_of(step) == DRAWING else step for step in pipeline]


def name_language_model_once(model: dict[str, Any]) -> None:
    """Let `language_model.name` reach the head, which reads the sizes of the same model, in place."""
    if not reads_text(model) or "name" not in model["language_model"]:
        return
    name = model["language_model"]["name"] = _found(model["language_model"]["name"])
    head = model.get("bbox_head")
    if isinstance(head, dict) and "lang_model_name" in head:
        head["lang_model_name"] = name


def count_drawn_names(model: dict[str, Any]) -> None:
    """Give the head a label for every word that it may read, as the authors of drawn names do, in place.

    Names that are drawn for an image are numbered anew for it, and one may be drawn twice (as seen there, and as any).
    """
    head = model["bbox_head"]
    head["num_classes"] = max(head["num_classes"], (head.get("contrastive_cfg") or {}).get("max_text_len", 256))


def _found(name: Any) -> Any:
    """Return a folder of this machine by its whole path, and what is a name on Hugging Face's hub as it is."""
    return absolute(name) if isinstance(name, str) and Path(name).is_dir() else name
