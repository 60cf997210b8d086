"""Looks at the machine and the installed packages, for the doctor and before a training.

Owns the looking; what is fit and what to type about it is decided in `package_rules` and `machine_rules`.
Heavy packages are imported inside the checks, after their versions were found good: a wrong MMCV fails at import with
a message that names neither itself nor the way out.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

from vision_research.config.errors import ConfigError, EnvironmentProblem
from vision_research.engine import machine_rules, package_rules
from vision_research.engine.check import Check, Severity
from vision_research.tracking.artifact_store import check_artifacts
from vision_research.tracking.uri import check_store, resolve_uri

logger = logging.getLogger(__name__)

DISTRIBUTION = "vision-research"
STORE_TIMEOUT_S = 5.0


def require(*, work_dir: Path | None = None, data_root: Path | None = None, tracking_uri: str | None = None) -> None:
    """Refuse a run that this machine or its packages are not fit for; what only may go wrong is logged.

    Args:
        work_dir: where the run will write; it need not exist. None leaves the disk out.
        data_root: where its images lie. None leaves them out.
        tracking_uri: where it will be recorded. None leaves the store out.

    Raises:
        EnvironmentProblem: names every problem that was found, each with what to type, as the doctor does.
    """
    found = [*package_checks(), gpu_check(describe=False), *folder_checks(work_dir, data_root)]
    if tracking_uri is not None:
        found.append(store_check(tracking_uri))
    refuse(found)


def checks(work_dir: Path, data_root: Path | None, tracking_uri: str | None) -> list[Check]:
    """Look at everything; what the doctor prints.

    Args:
        work_dir: where runs will write.
        data_root: where images lie; None leaves that out.
        tracking_uri: where runs are recorded; None is the address that a training would take.
    """
    machine = [machine_rules.python_check(sys.version_info[:3]), cpu_check(), gpu_check(describe=True)]
    shm = Path("/dev/shm")
    if shm.exists():
        machine.append(machine_rules.shm_check(shutil.disk_usage(shm).total))
    store = [store_check(tracking_uri), *artifact_checks(tracking_uri)]
    return [*machine, *package_checks(), *folder_checks(work_dir, data_root), *store]


def refuse(found: Sequence[Check]) -> None:
    """Log the checks that warn, and raise one error with all that refuse.

    Raises:
        EnvironmentProblem: there is at least one of those.
    """
    for check in found:
        if not check.ok and not check.refuses:
            logger.warning("%s", check)
    problems = [str(check) for check in found if check.refuses]
    if problems:
        raise EnvironmentProblem("\n".join(problems))


def require_detection_packages() -> None:
    """Refuse before anything is composed: the zoo itself is another one in MMDetection 2.x.

    Looks at the versions alone, which takes milliseconds.

    Raises:
        EnvironmentProblem: MMDetection, MMEngine or MMCV is absent, of a wrong version, or there twice.
    """
    names = {name for providers in package_rules.PROVIDERS.values() for name in providers}
    refuse(package_rules.detection_checks({name: found for name in names if (found := _version(name)) is not None}))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def installed_versions() -> dict[str, str]:
    """The version of every installed distribution, by canonical name."""
    # A broken installation can leave a folder whose metadata has no name.
    return {canonicalize_name(found.name): found.version for found in metadata.distributions() if found.name}


def package_checks() -> list[Check]:
    """Judge the installed versions, and, where they fit together, whether torch and mmcv's ops load."""
    installed = installed_versions()
    found = package_rules.detection_checks(installed)
    if DISTRIBUTION in installed:
        found += package_rules.requirement_checks(metadata.requires(DISTRIBUTION) or [], installed)
    else:
        text = "runs from a folder that is not installed, so versions are not checked"
        found.append(Check(DISTRIBUTION, False, text, Severity.warning, "python -m pip install --editable ."))
    found.append(package_rules.opencv_check(installed))
    if not any(check.refuses for check in found):
        found.append(ops_check())
    return found


def ops_check() -> Check:
    """Load mmcv's compiled ops, and torch with them."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library that torch links to is not there
        return Check("torch", False, f"does not import ({error})", remedy="python -m pip install torch==2.13.0")
    try:
        import mmcv.ops  # noqa: F401
    # AssertionError: the compiled file belongs to another mmcv, and lacks an op that this one looks up.
    except (ImportError, OSError, AssertionError) as error:
        found, remedy = package_rules.ops_problem(str(error))
        return Check("mmcv ops", False, found, remedy=remedy)
    return Check("mmcv ops", True, f"load with torch {torch.__version__}")


def gpu_check(*, describe: bool) -> Check:
    """Judge whether torch sees the GPUs that are there.

    Args:
        describe: name each with its memory. That makes a CUDA context, which a process that trains elsewhere must not.
    """
    has_device = Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None
    try:
        import torch
    except (ImportError, OSError):
        return Check("gpu", True, "not looked at: torch does not import")
    gpus = []
    for index in range(torch.cuda.device_count()):
        gpus.append(f"cuda:{index}")
        if describe:
            properties = torch.cuda.get_device_properties(index)
            gpus[-1] += f" {properties.name} ({properties.total_memory / machine_rules.GIB:.0f} GiB)"
    return machine_rules.gpu_check(torch.version.cuda, has_device, gpus)


def cpu_check() -> Check:
    """Count the CPU cores that this process may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check("cpu", True, f"{count} cores")


def folder_checks(work_dir: Path | None, data_root: Path | None) -> list[Check]:
    """Judge the disks that a run writes to and reads from."""
    found = []
    for name, folder in (("work_dir", work_dir), ("data.root", data_root)):
        if folder is None:
            continue
        existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        if name == "work_dir" and not os.access(existing, os.W_OK | os.X_OK):
            found.append(Check(name, False, f"{existing} cannot be written", remedy="add work_dir=DIR to the command"))
            continue
        found.append(machine_rules.disk_check(name, existing, shutil.disk_usage(existing).free))
    return found


def store_check(uri: str | None) -> Check:
    """Judge whether the tracking store takes a run; None is the address that a training would take."""
    try:
        resolved = resolve_uri(uri, Path.cwd())
    except ConfigError as error:
        return Check("mlflow store", False, str(error))
    problem = check_store(resolved, STORE_TIMEOUT_S)
    return Check("mlflow store", problem is None, problem or resolved)


def artifact_checks(uri: str | None) -> list[Check]:
    """Judge whether artifacts can be kept, where a server is typed; a file keeps them beside itself."""
    if uri is None or not uri.startswith(("http://", "https://")):
        return []
    return [Check("mlflow artifacts", *check_artifacts(uri, STORE_TIMEOUT_S))]
