"""Rules for GPUs, disks and shared memory: pure functions of measured values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vision_research.checks.check import Check, Severity

GIB = 1024**3
DISK_NEEDED_BYTES = 1 * GIB
DISK_WANTED_BYTES = 5 * GIB
# With Docker's default of 64 MiB, a loader process fails in its second batch with "bus error".
SHM_WANTED_BYTES = 1 * GIB
PYTHON_MIN = (3, 11)


def python_check(version: tuple[int, int, int]) -> Check:
    """Check the version of Python."""
    found = ".".join(map(str, version))
    if version[:2] < PYTHON_MIN:
        return Check("python", False, f"{found}: 3.11 or newer is needed", remedy="python3.11 -m venv .venv")
    return Check("python", True, found)


def gpu_check(torch_cuda: str | None, has_nvidia_device: bool, gpus: Sequence[str]) -> Check:
    """Check whether torch can use the GPUs of this machine.

    Args:
        torch_cuda: CUDA version of torch; None is a CPU build.
        has_nvidia_device: whether the operating system lists an NVIDIA device.
        gpus: a description of each GPU that torch can use.
    """
    if gpus:
        return Check("gpu", True, f"{len(gpus)} with CUDA {torch_cuda}: {', '.join(gpus)}")
    if not has_nvidia_device:
        return Check("gpu", True, "none here: runs on the CPU")
    if torch_cuda is None:
        remedy = "python -m pip uninstall -y torch\npython -m pip install torch==2.13.0"
        found = "there is an NVIDIA device, and torch is a CPU build that cannot use it"
        return Check("gpu", False, found, Severity.warning, remedy)
    found = (
        f"there is an NVIDIA device, and torch (CUDA {torch_cuda}) cannot use it: CUDA_VISIBLE_DEVICES or the driver"
    )
    return Check("gpu", False, found, Severity.warning, "nvidia-smi\necho $CUDA_VISIBLE_DEVICES")


def disk_check(name: str, folder: Path, free_bytes: int) -> Check:
    """Check the free space of a folder's disk: a checkpoint is 50 to 500 MB, and a run keeps several.

    Args:
        name: config key of the folder.
        folder: an existing folder.
        free_bytes: free space of its disk.
    """
    found = f"{free_bytes / GIB:.1f} GiB free at {folder}"
    if free_bytes < DISK_NEEDED_BYTES:
        return Check(name, False, f"{found}: at least 1 GiB is needed", remedy=f"du -h {folder} | sort -h | tail")
    if free_bytes < DISK_WANTED_BYTES:
        text = f"{found}: checkpoints of a long run may not fit"
        return Check(name, False, text, Severity.warning, f"du -h {folder} | sort -h | tail")
    return Check(name, True, found)


def shm_check(total_bytes: int) -> Check:
    """Check the shared memory, through which loader processes transfer batches."""
    found = f"{total_bytes / GIB:.1f} GiB at /dev/shm"
    if total_bytes >= SHM_WANTED_BYTES:
        return Check("shared memory", True, found)
    text = f"{found}: data loader workers need more. Start the container with --shm-size=8g, or go without workers"
    return Check("shared memory", False, text, Severity.warning, "python -m vision_research.train data.num_workers=0")
