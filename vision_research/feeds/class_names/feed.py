"""The feed of class names: each sample contains them as text, an input of the detector (GLIP, GroundingDINO).

The data set adds the names to the sample, and all transforms up to packing keep them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vision_research.config.addresses import absolute
from vision_research.config.schema import DataConfig
from vision_research.config.traits import DetectorTraits
from vision_research.config.tree import dicts, kind_of, kinds
from vision_research.protocols import Feed, LoweringRun, RunConfig, Step

# Default `meta_keys` of MMDetection's PackDetInputs.
PACKED = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")
# The names, and a flag that each of them is one entity; without the flag nltk would extract nouns.
TEXT_KEYS = ("text", "custom_entities")
# MMDetection's transform that samples class names for each image, and tokenizes them.
DRAWING = "RandomSamplingNegPos"


class ClassNames(Feed):
    """The names of the classes."""

    name = "class_names"
    modules = ("vision_research.feeds.class_names.transform",)

    def claims(self, traits: DetectorTraits, data: DataConfig) -> bool:
        """Claim runs of detectors with text input."""
        return traits.reads_text

    def problems(self, run: RunConfig) -> Iterator[str]:
        """Name a transform that samples class names for a detector without text input."""
        aug, data = run.config.aug, run.data
        if aug.recipe is None or data.uses_zoo_file or run.traits.reads_text:
            return
        for path, step in run.file_steps:
            if kind_of(step) == DRAWING:
                yield (
                    f"{path}.type={step['type']}: draws names of classes for a detector that reads them, and "
                    f"model={run.config.model['type']} reads none. Type another aug=OPTION, or "
                    f"model=zoo/{aug.recipe['zoo']}"
                )
                return

    def datasets(self, datasets: list[dict[str, Any]], run: LoweringRun, split: str) -> list[dict[str, Any]]:
        """Let the data sets add the class names to every sample."""
        return [{**dataset, "return_classes": True} for dataset in datasets]

    def pipeline(self, pipeline: list[Step], run: RunConfig) -> list[Step]:
        """Pack the names, and use the tokenizer of the detector's language model."""
        name = run.config.model["language_model"].get("name")
        named = [{**step, "tokenizer_name": _found(name)} if kind_of(step) == DRAWING else step for step in pipeline]
        # The data sets of a zoo file have their own texts.
        return named if run.data.uses_zoo_file else _packing_text(named)

    def model(self, model: dict[str, Any], run: LoweringRun) -> None:
        """Copy `language_model.name` to the head, and set its class count where class names are sampled."""
        if "name" in model["language_model"]:
            # The head reads the sizes of the language model.
            name = model["language_model"]["name"] = _found(model["language_model"]["name"])
            head = model.get("bbox_head")
            if isinstance(head, dict) and "lang_model_name" in head:
                head["lang_model_name"] = name
        aug = run.config.aug
        if not run.data.uses_zoo_file and DRAWING in kinds([aug.train, (aug.recipe or {}).get("train")]):
            # As in MMDetection's configs, the class count is the length of the text input: the names that are sampled
            # for an image get new labels, and a name may be sampled twice.
            head = model["bbox_head"]
            length = (head.get("contrastive_cfg") or {}).get("max_text_len", 256)
            head["num_classes"] = max(head["num_classes"], length)

    def explain_build(self, model: Mapping[str, Any], error: Exception, part: str) -> list[str]:
        """Explain that the language model could not be read, if that is why a detector could not be built.

        transformers raises an OSError for a name that is neither a folder nor on its hub, and one of several types for
        a folder without the files of a BERT.
        """
        if not isinstance(model.get("language_model"), dict) or not (isinstance(error, OSError) or "BertModel" in part):
            return []
        name, reason = model["language_model"].get("name"), str(error).strip().splitlines()[0]
        return [
            f"model.language_model.name={name}: it could not be read ({reason}). It is a name on Hugging Face's hub, "
            "which is fetched where there is a network, or a folder: model.language_model.name=FOLDER with the "
            "config.json, vocab.txt and model.safetensors of a BERT"
        ]

    def unfit(self, detector: Any, lowered: Mapping[str, Any]) -> Iterator[str]:
        """Name a list of classes that is, as one text, longer than the input of the language model.

        MMDetection truncates the text silently, so the last classes would be neither learned nor detected.
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
                    f"data.classes: the {len(names)} names are {length} tokens of the language model as one text, and "
                    f"it reads {limit}; those beyond would never be learned. Type fewer, data.classes=[...], or an "
                    "aug=zoo/X that draws names for each image: "
                    "aug=zoo/mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365"
                )
            if split == "val" and chunk <= 0 and (length := _length(detector, names)) > limit:
                yield (
                    f"model.test_cfg.chunked_size: the {len(names)} names are {length} tokens of the language model as "
                    f"one text, and it reads {limit}; those beyond would never be found. Type "
                    "+model.test_cfg.chunked_size=40 data.val_batch_size=1 to ask for 40 at a time"
                )
            if split == "val" and chunk > 0 and (lowered["val_dataloader"] or {}).get("batch_size", 1) > 1:
                yield (
                    f"model.test_cfg.chunked_size={chunk}: MMDetection asks for some of the names at a time for one "
                    "image at a time. Type data.val_batch_size=1"
                )


def _packing_text(pipeline: list[Step]) -> list[Step]:
    kept: list[Step] = []
    for step in pipeline:
        kind = kind_of(step)
        if kind == "PackDetInputs":
            keys = tuple(step.get("meta_keys") or PACKED)
            kept.append({**step, "meta_keys": (*keys, *(key for key in TEXT_KEYS if key not in keys))})
        elif kind != "LoadTextAnnotations":
            # LoadTextAnnotations converts the texts of ODVG annotations to a list; ours are a list already.
            kept += [{"type": "NamesByLabel"}, step] if kind == DRAWING else [step]
    return kept


def _found(name: Any) -> Any:
    """Return the absolute path of a local folder; a name on Hugging Face's hub is returned unchanged."""
    return absolute(name) if isinstance(name, str) and Path(name).is_dir() else name


def _names(node: dict[str, Any]) -> tuple[str, ...]:
    return tuple((node.get("metainfo") or {}).get("classes") or ()) if node.get("return_classes") else ()


def _length(detector: Any, names: tuple[str, ...]) -> int:
    # As MMDetection joins them (mmdet/models/detectors/grounding_dino.py).
    text = "".join(f"{re.sub(r'_', ' ', re.sub(r'[(].*[)]', '', name))}. " for name in names)
    return len(detector.language_model.tokenizer([text])["input_ids"][0]) if names else 0
