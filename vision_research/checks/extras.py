"""Optional packages that some parts of a config need, and what to type where one is missing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from typing import Any

from packaging.version import Version

from vision_research.config.tree import dicts


@dataclass(frozen=True)
class Extra:
    """A package that is not installed with the project.

    Attributes:
        names: types that need it; a name that ends in a dot is a scope (`mmpretrain.`), and a name that ends in `=` is
            a key that needs it wherever it is set.
        modules: modules that have to be importable.
        remedy: what to type; `{path}` stands for the path of the type or key.
        before: first version of the first module that MMDetection does not support, or empty.
    """

    names: tuple[str, ...]
    modules: tuple[str, ...]
    remedy: str
    before: str = ""

    def needed_by(self, node: dict[str, Any]) -> str | None:
        """Return the key or `type=...` of a node that needs the package, or None."""
        kind = node.get("type") if isinstance(node.get("type"), str) else ""
        for name in self.names:
            if name.endswith("="):
                value = node.get(name[:-1])
                # -1 as a number of layers means none.
                if isinstance(value, dict) or (isinstance(value, int) and value > 0):
                    return name[:-1]
            elif kind and (kind.startswith(name) if name.endswith(".") else kind.rpartition(".")[2] == name):
                return f"type={kind}"
        return None

    def lack(self) -> str:
        """Return which module is missing or too new; empty if there is no problem."""
        if absent := [module for module in self.modules if find_spec(module) is None]:
            return f"needs {' and '.join(absent)}, which {'is' if len(absent) == 1 else 'are'} not installed"
        found = installed_version(self.modules[0]) if self.before else ""
        if found and Version(found) >= Version(self.before):
            return f"needs {self.modules[0]}<{self.before}, and {found} is installed"
        return _torchvision_problem() if "torchvision" in self.modules else ""


def _torchvision_problem() -> str:
    """Explain why torchvision cannot be imported: its binary fits one build of torch, which pip does not check."""
    try:
        import_module("torchvision")
    except Exception as error:
        torch, own = installed_version("torch"), installed_version("torchvision")
        return (
            f"needs torchvision, and {own} does not import beside torch {torch} ({error}): both have to be builds "
            "for the same CUDA, or for the CPU. Uninstall it, and install it anew with the --index-url of torch's own"
        )
    return ""


PIP = "python -m pip install"
MOT = f"{PIP} 'vision-research[mot]'"
LANGUAGE = f"{PIP} 'vision-research[language]'"
EXTRAS = (
    # Its own requirements would install a second OpenCV over the existing one.
    Extra(("Albu",), ("albumentations",), f"{PIP} scikit-image && {PIP} --no-deps albumentations==1.4.4"),
    Extra(("MOTChallengeMetric",), ("trackeval",), MOT),
    Extra(("ByteTracker", "OCSORTTracker"), ("lap",), MOT),
    Extra(("SORTTracker", "StrongSORTTracker"), ("motmetrics",), MOT),
    # MMPretrain imports torchvision without requiring it. Re-identification uses its classifiers.
    Extra(
        ("mmpretrain.", "BaseReID", "LinearReIDHead", "ReIDDataPreprocessor"),
        ("mmpretrain", "torchvision"),
        f"{PIP} 'vision-research[mmpretrain]'",
    ),
    # MMDetection also imports nltk, but only for nouns in captions, not for class names.
    # GLIP's fusion of text and images fails with 4.56 and newer (mmdet/models/utils/vlfuse_helper.py).
    Extra(("BertModel", "GLIP", "RandomSamplingNegPos"), ("transformers",), LANGUAGE, before="4.56"),
    Extra(
        ("num_cp=",),
        ("fairscale",),
        f"{LANGUAGE} (or fairscale alone), or {{path}}.num_cp=0 (it saves memory and changes no result)",
    ),
    Extra(
        ("use_torchvision=",),
        ("torchvision",),
        f"{PIP} 'torchvision==0.28.*', or {{path}}.use_torchvision=false (mmcv's own, which gives the same)",
    ),
    Extra(
        ("perm_repeat_gt_cfg=",),
        ("torchvision",),
        f"{PIP} 'torchvision==0.28.*', or {{path}}.perm_repeat_gt_cfg=null (it separates duplicate boxes)",
    ),
    Extra(("BoxInstDataPreprocessor",), ("skimage",), f"{PIP} scikit-image"),
    Extra(
        ("Detectron2Wrapper",),
        ("detectron2",),
        f"{PIP} --no-build-isolation git+https://github.com/facebookresearch/detectron2.git",
    ),
    Extra(
        ("LoadPanopticAnnotations", "CocoPanopticMetric"),
        ("panopticapi",),
        f"{PIP} git+https://github.com/cocodataset/panopticapi.git",
    ),
    Extra(
        ("LVISMetric", "LVISFixedAPMetric", "LVISDataset", "LVISV1Dataset", "LVISV05Dataset"), ("lvis",), f"{PIP} lvis"
    ),
    Extra(("CityScapesMetric",), ("cityscapesscripts",), f"{PIP} cityscapesscripts"),
    Extra(("CocoCaptionMetric",), ("pycocoevalcap",), f"{PIP} pycocoevalcap"),
    Extra(("DODDataset",), ("d_cube",), f"{PIP} ddd-dataset"),
    Extra(("DumpODVGResults",), ("jsonlines",), f"{PIP} jsonlines"),
    Extra(("InstaBoost",), ("instaboostfast",), f"{PIP} instaboostfast"),
    Extra(("Corrupt",), ("imagecorruptions",), f"{PIP} imagecorruptions"),
)


def needed_modules(config: dict[str, Any]) -> list[str]:
    """List the optional modules that a lowered config needs, installed or not."""
    found = [extra for _, node in dicts(config) for extra in EXTRAS if extra.needed_by(node)]
    return sorted({module for extra in found for module in extra.modules})


def missing_extras(config: dict[str, Any]) -> list[str]:
    """Name every missing package that a lowered config needs, once, with what to type."""
    found: dict[Extra, str] = {}
    for path, node in dicts(config):
        for extra in EXTRAS:
            if extra not in found and (word := extra.needed_by(node)) and (lack := extra.lack()):
                found[extra] = f"{path}.{word}: {lack}. Type {extra.remedy.replace('{path}', path)}"
    return list(found.values())
