"""The feed of class names: each sample contains them as text, an input of the detector (GLIP, GroundingDINO).

The data set adds the names to the sample, and all transforms up to packing keep them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vision_research.config.addresses import absolute
from vision_research.config.schema import DataConfig
from vision_research.config.traits import DetectorTraits
from vision_research.config.tree import kind_of, kinds, typed_dicts
from vision_research.feeds.class_names.language_model import DRAWING, too_long_names, unread_model
from vision_research.protocols.feed import Feed
from vision_research.protocols.inputs import LoweringInputs
from vision_research.protocols.part import Step
from vision_research.protocols.run_config import RunConfig

# Default `meta_keys` of MMDetection's PackDetInputs.
PACKED = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")
# The names, and a flag that each of them is one entity; without the flag nltk would extract nouns.
TEXT_KEYS = ("text", "custom_entities")


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
        for path, step in typed_dicts(aug.recipe.get("train"), "aug.recipe.train"):
            if kind_of(step) == DRAWING:
                yield (
                    f"{path}.type={step['type']}: draws names of classes for a detector that reads them, and "
                    f"model={run.config.model['type']} reads none. Type another aug=OPTION, or "
                    f"model=zoo/{aug.recipe['zoo']}"
                )
                return

    def datasets(
        self, datasets: list[dict[str, Any]], run: RunConfig, inputs: LoweringInputs, split: str
    ) -> list[dict[str, Any]]:
        """Let the data sets add the class names to every sample."""
        return [{**dataset, "return_classes": True} for dataset in datasets]

    def pipeline(self, pipeline: list[Step], run: RunConfig) -> list[Step]:
        """Pack the names, and use the tokenizer of the detector's language model."""
        name = run.config.model["language_model"].get("name")
        named = [{**step, "tokenizer_name": _found(name)} if kind_of(step) == DRAWING else step for step in pipeline]
        # The data sets of a zoo file have their own texts.
        return named if run.data.uses_zoo_file else _packing_text(named)

    def model(self, model: dict[str, Any], run: RunConfig, inputs: LoweringInputs) -> None:
        """Copy `language_model.name` to the head, and set its class count where class names are sampled."""
        if "name" in model["language_model"]:
            # The head reads the sizes of the language model.
            name = model["language_model"]["name"] = _found(model["language_model"]["name"])
            head = model.get("bbox_head")
            if isinstance(head, dict) and "lang_model_name" in head:
                head["lang_model_name"] = name
        aug = run.config.aug
        if not run.data.uses_zoo_file and DRAWING in kinds([aug.train, (aug.recipe or {}).get("train")]):
            _count_sampled_names(model["bbox_head"])

    def explain_build(self, model: Mapping[str, Any], error: Exception, part: str) -> list[str]:
        """Explain that the language model could not be read."""
        return unread_model(model, error, part)

    def unfit(self, detector: Any, lowered: Mapping[str, Any]) -> Iterator[str]:
        """Name a list of classes that is longer than the input of the language model."""
        return too_long_names(detector, lowered)


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


def _count_sampled_names(head: dict[str, Any]) -> None:
    """Set the class count of a head to the length of its text input, as MMDetection's configs do, in place.

    The names that are sampled for an image get new labels, and a name may be sampled twice.
    """
    head["num_classes"] = max(head["num_classes"], (head.get("contrastive_cfg") or {}).get("max_text_len", 256))


def _found(name: Any) -> Any:
    """Return the absolute path of a local folder; a name on Hugging Face's hub is returned unchanged."""
    return absolute(name) if isinstance(name, str) and Path(name).is_dir() else name
