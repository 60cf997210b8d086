"""Rules for installed versions: functions of a mapping of distribution names to versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from vision_research.checks.check import Check, Severity, refuse
from vision_research.ops.mmcv_ext.choice import BUILD

if TYPE_CHECKING:
    from packaging.requirements import Requirement

MMCV = "mmcv-lite==2.1.0"
# The release that goes with the tested torch.
TORCHVISION = "torchvision==0.28.*"
OPERATORS = "operators"
# The distributions that install each module. Two of them at once overwrite each other's files.
PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "mmdet": ("mmdet", "onedl-mmdetection"),
    "mmengine": ("mmengine", "onedl-mmengine"),
    "mmcv": ("mmcv", "mmcv-full", "mmcv-lite", "onedl-mmcv"),
}
_OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
TESTED: Mapping[str, str] = {
    "mmdet": "3.3.0",
    "mmengine": "0.10.7",
    "mmcv": "2.1.0",
    "mmcv-lite": "2.1.0",
    "onedl-mmdetection": "3.5.1",
    "onedl-mmengine": "0.10.12",
    "onedl-mmcv": "2.3.6",
}
# Versions outside of these are errors; other untested versions are warnings.
_ACCEPTED = {
    "mmdet": (SpecifierSet(">=3,<4"), "3.x is needed: 2.x has another runner, other registries and other config names"),
    "mmengine": (SpecifierSet(">=0.7.1,<1"), "mmdet 3.x refuses it: it takes 0.7.1 and newer, below 1.0"),
    "mmcv": (SpecifierSet(">=2,<3"), "2.x is needed: 1.x belongs to MMDetection 2.x"),
}
# mmdet/__init__.py asserts this; its fork does not.
_MMCV_FOR_MMDET = SpecifierSet("<2.2")


def require_detection_packages() -> None:
    """Check the versions of MMDetection, MMEngine and MMCV, before the composition reads the zoo.

    It reads only package metadata, which takes milliseconds.

    Raises:
        EnvironmentProblem: one of them is missing, has a wrong version, or is installed twice.
    """
    installed = {}
    for name in {name for providers in PROVIDERS.values() for name in providers}:
        with suppress(metadata.PackageNotFoundError):
            installed[name] = metadata.version(name)
    refuse(detection_checks(installed))


def detection_checks(installed: Mapping[str, str]) -> list[Check]:
    """Check MMDetection, MMEngine and MMCV, or their drop-in forks, with one result for each."""
    return [_module_check(module, installed) for module in PROVIDERS]


def _module_check(module: str, installed: Mapping[str, str]) -> Check:
    present = [name for name in PROVIDERS[module] if name in installed]
    if present == ["mmcv", "mmcv-lite"] and installed["mmcv"] == installed["mmcv-lite"]:
        # They have the same files, and mmcv the compiled operators beside them.
        present = ["mmcv"]
    found = " and ".join(f"{name} {installed[name]}" for name in present) or "not installed"
    problem = _module_problem(module, present, installed)
    if problem is not None:
        text = f"{found}: {problem}" if present else found
        return Check(module, False, text, remedy=_remedy(module, present, installed))
    (name,) = present
    if installed[name] != TESTED[name]:
        text, remedy = f"{found}, and the tests passed with {TESTED[name]}", _remedy(module, present, installed)
        return Check(module, False, text, Severity.warning, remedy)
    return Check(module, True, found)


def _module_problem(module: str, present: list[str], installed: Mapping[str, str]) -> str | None:
    if not present:
        return "it is needed"
    if len(present) > 1:
        return f"both install the module {module}, and have overwritten each other's files"
    (name,) = present
    version = installed[name]
    if name == "mmcv-full":
        return "that is MMCV 1.x with ops, for MMDetection 2.x; MMDetection 3.x needs mmcv 2.x"
    accepted, why = _ACCEPTED[module]
    if not accepted.contains(version, prereleases=True):
        return why
    if module == "mmcv" and "mmdet" in installed and not _MMCV_FOR_MMDET.contains(version):
        return f"mmdet {installed['mmdet']} refuses mmcv 2.2 and newer; only its fork onedl-mmdetection takes them"
    return None


def _remedy(module: str, present: list[str], installed: Mapping[str, str]) -> str:
    """Return the commands that install the tested versions; other distributions are uninstalled first."""
    old_mmcv = [name for name in PROVIDERS["mmcv"] if name in installed and installed[name] != TESTED.get(name)]
    unwanted = [*present, *(name for name in old_mmcv if module == "mmdet")]
    lines = [f"python -m pip uninstall -y {' '.join(unwanted)}"] if unwanted else []
    if module != "mmcv":
        lines.append(f"python -m pip install mmdet=={TESTED['mmdet']} mmengine=={TESTED['mmengine']}")
    if module == "mmcv" or (module == "mmdet" and old_mmcv):
        lines.append(f"python -m pip install {MMCV}")
    return "\n".join(lines)


def requirement_checks(requirements: Iterable[str], installed: Mapping[str, str]) -> list[Check]:
    """Check the project's requirements, except for the three modules above, which several distributions can provide.

    Args:
        requirements: of the project's metadata; those of extras are ignored.
        installed: version by canonical distribution name.

    Returns:
        One check per requirement: an error if it is missing, a warning if its version is not the tested one.
    """
    # Imported here since `train` waits for this module before it composes.
    from packaging.requirements import Requirement

    checks, provided = [], {name for providers in PROVIDERS.values() for name in providers}
    for text in requirements:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if name in provided or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        checks.append(_requirement_check(requirement, installed.get(name)))
    return checks


def _requirement_check(requirement: Requirement, version: str | None) -> Check:
    remedy = f'python -m pip install "{requirement.name}{requirement.specifier}"'
    if version is None:
        return Check(requirement.name, False, "not installed", remedy=remedy)
    if not requirement.specifier.contains(version, prereleases=True):
        found = f"{version}, and the tests passed with {requirement.specifier}"
        return Check(requirement.name, False, found, Severity.warning, remedy)
    return Check(requirement.name, True, version)


def opencv_check(installed: Mapping[str, str]) -> Check:
    """Check that only one distribution installs the module cv2."""
    present = [name for name in _OPENCV if name in installed]
    if len(present) > 1:
        remedy = f"python -m pip uninstall -y {' '.join(present)}\npython -m pip install opencv-python"
        found = f"{' and '.join(present)} overwrite each other's files"
        return Check("cv2", False, found, Severity.warning, remedy)
    return Check("cv2", True, present[0] if present else "comes with opencv-python")


def mmcv_problem(error: str) -> tuple[str, str]:
    """Explain the text of the exception of `import mmcv.ops`: the problem, and what to type."""
    if "libGL" in error or "libgthread" in error:
        return f"OpenCV lacks a library of the system ({error})", "apt-get install libgl1 libglib2.0-0"
    return f"mmcv.ops does not import ({error})", f"python -m pip install --force-reinstall --no-deps {MMCV}"


def operators_check(choice: str, on_gpu: bool, no_compiled: str | None, no_torchvision: str | None) -> Check:
    """Check who computes mmcv's operators.

    Args:
        choice: of `ops`.
        on_gpu: whether they are to compute on a GPU.
        no_compiled: why mmcv's compiled operators cannot be used; None if they can.
        no_torchvision: why torchvision's kernels cannot be used on the GPU; None if they can.
    """
    if choice == "compiled":
        remedy = f"{BUILD}\nor type ops=auto"
        return Check(OPERATORS, no_compiled is None, no_compiled or "compiled, by mmcv", remedy=remedy)
    if no_compiled is not None and "another torch" in no_compiled:
        found, remedy = f"{no_compiled}; plain torch computes instead", f"{BUILD} --rebuild"
        return Check(OPERATORS, False, found, Severity.warning, remedy)
    if not on_gpu:
        return Check(OPERATORS, True, "in plain torch")
    if no_torchvision is None:
        return Check(OPERATORS, True, "in plain torch, and with torchvision's kernels on the GPU")
    if no_compiled is None and choice == "auto":
        return Check(OPERATORS, True, "compiled, by mmcv")
    found = f"plain torch is slow on a GPU, where suppression and pooling are loops: {no_torchvision}"
    return Check(OPERATORS, False, found, Severity.warning, f'python -m pip install --no-deps "{TORCHVISION}"')
