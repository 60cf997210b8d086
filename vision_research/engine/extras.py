"""Packages that some parts of a config need beyond the project's own, and what to type where one is absent."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from typing import Any

from packaging.version import Version

from vision_research.config.needs import nodes


@dataclass(frozen=True)
class Extra:
    """A package that is not installed with the project.

    Attributes:
        names: of the types that need it (one that ends in a dot is the scope of many, `mmpretrain.ConvNeXt`), and of
            keys that need it wherever they are set (one that ends in `=`).
        modules: what has to be importable.
        remedy: what to type; `{path}` in it is where the word stands.
        before: the version of the first module from which on MMDetection cannot read it, or empty.
    """

    names: tuple[str, ...]
    modules: tuple[str, ...]
    remedy: str
    before: str = ""

    def needed_by(self, node: dict[str, Any]) -> str | None:
        """Return the word of a node, as it is typed, that needs the package."""
        kind = node.get("type") if isinstance(node.get("type"), str) else ""
        for name in self.names:
            if name.endswith("="):
                value = node.get(name[:-1])
                # A count of layers that is -1 is none of them.
                if isinstance(value, dict) or (isinstance(value, int) and value > 0):
                    return name[:-1]
            elif kind and (kind.startswith(name) if name.endswith(".") else kind.rpartition(".")[2] == name):
                return f"type={kind}"
        return None

    def absent(self) -> list[str]:
        """List the modules that are not installed."""
        return [module for module in self.modules if find_spec(module) is None]

    def lack(self) -> str:
        """Say what is not installed, or too new; empty where all is well."""
        if absent := self.absent():
            return f"needs {' and '.join(absent)}, which {'is' if len(absent) == 1 else 'are'} not installed"
        found = installed_version(self.modules[0]) if self.before else ""
        if found and Version(found) >= Version(self.before):
            return f"needs {self.modules[0]}<{self.before}, and {found} is installed"
        return _torchvision_problem() if "torchvision" in self.modules else ""


def _torchvision_problem() -> str:
    """Say why torchvision does not import: its binary fits one build of torch, and pip does not see which."""
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
TRACKING = f"{PIP} 'vision-research[tracking]'"
LANGUAGE = f"{PIP} 'vision-research[language]'"
EXTRAS = (
    # Its own requirements would put a second OpenCV over the one that is there.
    Extra(("Albu",), ("albumentations",), f"{PIP} scikit-image && {PIP} --no-deps albumentations==1.4.4"),
    Extra(("MOTChallengeMetric",), ("trackeval",), TRACKING),
    Extra(("ByteTracker", "OCSORTTracker"), ("lap",), TRACKING),
    Extra(("SORTTracker", "StrongSORTTracker"), ("motmetrics",), TRACKING),
    # MMPretrain imports torchvision without asking for it; re-identification takes its classifiers from there.
    Extra(
        ("mmpretrain.", "BaseReID", "LinearReIDHead", "ReIDDataPreprocessor"),
        ("mmpretrain", "torchvision"),
        f"{PIP} 'vision-research[mmpretrain]'",
    ),
    # nltk, which MMDetection imports beside it, looks for nouns in captions: names of classes never come to it.
    # From 4.56 on GLIP's fusion of words and images does not build (mmdet/models/utils/vlfuse_helper.py).
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
        f"{PIP} 'torchvision==0.28.*', or {{path}}.perm_repeat_gt_cfg=null (it moves boxes that stand twice apart)",
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
    """List the modules beyond the project's own that a lowered config needs, installed or not."""
    found = [extra for _, node in nodes(config, "") for extra in EXTRAS if extra.needed_by(node)]
    return sorted({module for extra in found for module in extra.modules})


def missing_extras(config: dict[str, Any]) -> list[str]:
    """Name every package that a lowered config needs and that is not installed, once, with what to type."""
    found: dict[Extra, str] = {}
    for path, node in nodes(config, ""):
        for extra in EXTRAS:
            if extra not in found and (word := extra.needed_by(node)) and (lack := extra.lack()):
                found[extra] = f"{path}.{word}: {lack}. Type {extra.remedy.replace('{path}', path)}"
    return list(found.values())
