from __future__ import annotations

from pathlib import Path

import pytest

from vision_research.checks.machine_rules import GIB, disk_check, gpu_check, python_check, shm_check


@pytest.mark.parametrize(
    ("free_gib", "ok", "refuses"), [(0.9, False, True), (1.1, False, False), (4.9, False, False), (5.1, True, False)]
)
def test_a_full_disk_refuses_and_a_nearly_full_one_warns(free_gib: float, ok: bool, refuses: bool) -> None:
    check = disk_check("work_dir", Path("/somewhere"), int(free_gib * GIB))

    assert (check.ok, check.refuses) == (ok, refuses)
    assert f"{free_gib} GiB free at /somewhere" in check.found


def test_dockers_default_shared_memory_warns_and_names_the_option() -> None:
    check = shm_check(64 * 1024**2)

    assert not check.ok
    assert not check.refuses
    assert "--shm-size=8g" in check.found
    assert shm_check(8 * GIB).ok


def test_a_cpu_build_of_torch_on_a_gpu_machine_is_told_how_to_change() -> None:
    check = gpu_check(torch_cuda=None, has_nvidia_device=True, gpus=[])

    assert not check.ok
    assert not check.refuses
    assert check.remedy is not None
    assert check.remedy.splitlines()[0] == "python -m pip uninstall -y torch"


def test_gpus_that_torch_cannot_use_are_not_passed_over_in_silence() -> None:
    check = gpu_check(torch_cuda="13.0", has_nvidia_device=True, gpus=[])

    assert not check.ok
    assert "CUDA_VISIBLE_DEVICES" in check.found


def test_gpus_are_listed_and_a_machine_without_any_is_fit() -> None:
    assert gpu_check("13.0", True, ["cuda:0 L4 (22 GiB)", "cuda:1 L4 (22 GiB)"]).found.startswith("2 with CUDA 13.0")
    assert gpu_check(None, False, []).ok


def test_an_older_python_refuses() -> None:
    assert python_check((3, 10, 9)).refuses
    assert python_check((3, 11, 0)).ok
