"""Checks that a language model can be loaded, and that the names of all classes fit its input."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from vision_research.config.tree import dicts

# MMDetection's transform that samples class names for each image, and tokenizes them.
DRAWING = "RandomSamplingNegPos"


def unread_model(model: Mapping[str, Any], error: Exception, part: str) -> list[str]:
    """Explain that the language model could not be read, if that is why a detector could not be built.

    Args:
        model: of the lowered config.
        error: that was raised: transformers raises an OSError for a name that is neither a folder nor on its hub, and
            one of several types for a folder without the files of a BERT.
        part: the part of the detector that was being built.
    """
    if not isinstance(model.get("language_model"), dict) or not (isinstance(error, OSError) or "BertModel" in part):
        return []
    name, reason = model["language_model"].get("name"), str(error).strip().splitlines()[0]
    return [
        f"model.language_model.name={name}: it could not be read ({reason}). It is a name on Hugging Face's hub, which "
        "is fetched where there is a network, or a folder: model.language_model.name=FOLDER with the config.json, "
        "vocab.txt and model.safetensors of a BERT"
    ]


def too_long_names(detector: Any, lowered: Mapping[str, Any]) -> Iterator[str]:
    """Name a list of classes that is, as one text, longer than the input of the language model.

    MMDetection truncates the text silently, so the last classes would be neither learned nor detected.

    Args:
        detector: as it was built.
        lowered: the MMEngine config.
    """
    if not isinstance(lowered["model"].get("language_model"), dict):
        return
    limit, test_cfg = detector.language_model.max_tokens, lowered["model"].get("test_cfg") or {}
    chunk = test_cfg.get("chunked_size", -1)
    for split in ("train", "val"):
        found = [node for _, node in dicts(lowered.get(f"{split}_dataloader") or {})]
        names = next((_names(node) for node in found if _names(node)), ())
        draws = any(str(node.get("type", "")).endswith(DRAWING) for node in found)
        if split == "train" and not draws and (length := _length(detector, names)) > limit:
            yield (
                f"data.classes: the {len(names)} names are {length} tokens of the language model as one text, and it "
                f"reads {limit}; those beyond would never be learned. Type fewer, data.classes=[...], or an aug=zoo/X "
                "that draws names for each image: aug=zoo/mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365"
            )
        if split == "val" and chunk <= 0 and (length := _length(detector, names)) > limit:
            yield (
                f"model.test_cfg.chunked_size: the {len(names)} names are {length} tokens of the language model as one "
                f"text, and it reads {limit}; those beyond would never be found. Type +model.test_cfg.chunked_size=40 "
                "data.val_batch_size=1 to ask for 40 at a time"
            )
        if split == "val" and chunk > 0 and (lowered["val_dataloader"] or {}).get("batch_size", 1) > 1:
            yield (
                f"model.test_cfg.chunked_size={chunk}: MMDetection asks for some of the names at a time for one image "
                "at a time. Type data.val_batch_size=1"
            )


def _names(node: dict[str, Any]) -> tuple[str, ...]:
    return tuple((node.get("metainfo") or {}).get("classes") or ()) if node.get("return_classes") else ()


def _length(detector: Any, names: tuple[str, ...]) -> int:
    # As MMDetection joins them (mmdet/models/detectors/grounding_dino.py).
    text = "".join(f"{re.sub(r'_', ' ', re.sub(r'[(].*[)]', '', name))}. " for name in names)
    return len(detector.language_model.tokenizer([text])["input_ids"][0]) if names else 0
