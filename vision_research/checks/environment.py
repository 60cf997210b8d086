"""Checks the machine and the installed packages, for the doctor and before a training.

This module collects the facts; `package_rules` and `machine_rules` judge them. Heavy packages are imported inside the
checks, after their versions were checked: a wrong MMCV fails at import with an unhelpful message.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

from vision_research.checks import machine_rules, package_rules
from vision_research.checks.check import Check, Severity, refuse
from vision_research.config.addresses import is_s3
from vision_research.config.errors import ConfigError
from vision_research.ops.mmcv_ext.choice import selected
from vision_research.storage.s3.probe import probe
from vision_research.storage.s3.settings import S3Settings
from vision_research.tracking.store_checks import check_artifacts, check_store
from vision_research.tracking.uri import resolve_uri

DISTRIBUTION = "vision-research"
STORE_TIMEOUT_S = 5.0
OPERATORS = package_rules.OPERATORS


def require(
    *,
    work_dir: Path | None = None,
    data_root: Path | None = None,
    tracking_uri: str | None = None,
    on_gpu: bool = False,
) -> None:
    """Refuse a run that this machine or its packages do not support; warnings are logged.

    Args:
        work_dir: folder of the run, which need not exist; None skips its check.
        data_root: folder of the images; None skips its check.
        tracking_uri: address of MLflow; None skips its check.
        on_gpu: whether the ranks compute on GPUs.

    Raises:
        EnvironmentProblem: all problems, each with what to type.
    """
    found = [*package_checks(on_gpu), gpu_check(describe=False), *folder_checks(work_dir, data_root)]
    if tracking_uri is not None:
        found.append(store_check(tracking_uri))
    refuse(found)


def checks(work_dir: Path, data_root: Path | None, tracking_uri: str | None) -> list[Check]:
    """Run all checks of the doctor.

    Args:
        work_dir: folder of runs.
        data_root: folder of the images; None skips its check.
        tracking_uri: address of MLflow; None is the default of a training.
    """
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = [machine_rules.python_check(sys.version_info[:3]), Check("cpu", True, f"{num_cores} cores")]
    machine.append(gpu_check(describe=True))
    if (shm := Path("/dev/shm")).exists():
        machine.append(machine_rules.shm_check(shutil.disk_usage(shm).total))
    packages = package_checks(_sees_gpu())
    if any(check.name == OPERATORS and not check.refuses for check in packages):
        packages.append(operator_speed())
    found = [*machine, *packages, *folder_checks(work_dir, data_root), store_check(tracking_uri)]
    # A server may not be able to store artifacts; a local store keeps them in a folder.
    if tracking_uri is not None and tracking_uri.startswith(("http://", "https://")):
        found.append(Check("mlflow artifacts", *check_artifacts(tracking_uri, STORE_TIMEOUT_S)))
    return found


def installed_versions() -> dict[str, str]:
    """Return the version of every installed distribution by canonical name."""
    # A broken installation can leave metadata without a name.
    return {canonicalize_name(found.name): found.version for found in metadata.distributions() if found.name}


def package_checks(on_gpu: bool = False) -> list[Check]:
    """Check the installed versions and, where they fit together, whether torch and mmcv's operators load.

    Args:
        on_gpu: whether the operators are to compute on a GPU.
    """
    installed = installed_versions()
    found = package_rules.detection_checks(installed)
    if DISTRIBUTION in installed:
        found += package_rules.requirement_checks(metadata.requires(DISTRIBUTION) or [], installed)
    else:
        text = "runs from a folder that is not installed, so versions are not checked"
        found.append(Check(DISTRIBUTION, False, text, Severity.warning, "python -m pip install --editable ."))
    found.append(package_rules.opencv_check(installed))
    if not any(check.refuses for check in found):
        found.append(operators_check(on_gpu))
    return found


def operators_check(on_gpu: bool) -> Check:
    """Load torch and mmcv, and check who computes mmcv's operators.

    Args:
        on_gpu: whether they are to compute on a GPU.
    """
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: a shared library of torch is missing
        return Check("torch", False, f"does not import ({error})", remedy="python -m pip install torch==2.13.0")
    try:
        import mmcv.ops  # noqa: F401
    except (ImportError, OSError, AssertionError) as error:
        found, remedy = package_rules.mmcv_problem(str(error))
        return Check(OPERATORS, False, found, remedy=remedy)
    from vision_research.ops.kernels import missing_torchvision
    from vision_research.ops.mmcv_ext.dispatch import why_not_compiled

    torchvision = missing_torchvision() if on_gpu else None
    return package_rules.operators_check(selected(), on_gpu, why_not_compiled(), torchvision)


def operator_speed() -> Check:
    """Measure the operators that detectors call most, for a second."""
    from vision_research.ops.speed import describe_speed

    return Check("operator speed", True, describe_speed())


def _sees_gpu() -> bool:
    try:
        import torch
    except (ImportError, OSError):
        return False
    return torch.cuda.is_available()


def gpu_check(*, describe: bool) -> Check:
    """Check whether torch can use the GPUs of this machine.

    `describe` adds name and memory of each. This creates a CUDA context, which the parent of a training must not.
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


def folder_checks(work_dir: Path | None, data_root: Path | None) -> list[Check]:
    """Check the disks that a run writes to and reads from.

    Args:
        work_dir: folder that is written; None skips its check.
        data_root: folder of the images; None skips its check.
    """
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
    """Check whether MLflow can store a run; None is the default address of a training."""
    try:
        resolved = resolve_uri(uri, Path.cwd())
    except ConfigError as error:
        return Check("mlflow store", False, str(error))
    problem = check_store(resolved, STORE_TIMEOUT_S)
    return Check("mlflow store", problem is None, problem or resolved)


def s3_checks(places: Mapping[str, str], settings: S3Settings) -> list[Check]:
    """Check every address in S3.

    Args:
        places: address by config key; that of the data need not be writable.
        settings: how S3 is reached.
    """
    # Requests have a much shorter time limit than in a training.
    limited = replace(settings, give_up_after_s=min(settings.give_up_after_s, 10.0))
    found = []
    for key, address in places.items():
        for probed in probe(address, limited) if is_s3(address) else ():
            only_read = key == "data.root" and probed.action == "write"
            severity = Severity.warning if only_read else Severity.error
            found.append(Check(f"{key} {probed.action}", probed.ok, probed.found, severity))
    return found
