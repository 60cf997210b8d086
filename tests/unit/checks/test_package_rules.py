from __future__ import annotations

import pytest

from vision_research.checks.check import Check, Severity
from vision_research.checks.package_rules import (
    detection_checks,
    mmcv_problem,
    opencv_check,
    operators_check,
    requirement_checks,
)

GOOD = {"mmdet": "3.3.0", "mmengine": "0.10.7", "mmcv": "2.1.0"}
FORKS = {"onedl-mmdetection": "3.5.1", "onedl-mmengine": "0.10.12", "onedl-mmcv": "2.3.6"}


def judge(installed: dict[str, str]) -> dict[str, Check]:
    return {check.name: check for check in detection_checks(installed)}


@pytest.mark.parametrize("installed", [GOOD, FORKS])
def test_the_tested_set_and_the_tested_forks_are_fit(installed: dict[str, str]) -> None:
    assert [check.ok for check in detection_checks(installed)] == [True, True, True]


def test_mmdet_2_is_refused_with_the_lines_that_replace_it_and_its_mmcv_full() -> None:
    check = judge({"mmdet": "2.28.2", "mmcv-full": "1.7.2"})["mmdet"]

    assert check.refuses
    assert check.found.startswith("mmdet 2.28.2: 3.x is needed")
    assert check.remedy == (
        "python -m pip uninstall -y mmdet mmcv-full\n"
        "python -m pip install mmdet==3.3.0 mmengine==0.10.7\n"
        "python -m pip install mmcv-lite==2.1.0"
    )


def test_mmdet_2_beside_a_good_mmcv_leaves_the_mmcv_alone() -> None:
    check = judge({**GOOD, "mmdet": "2.25.0"})["mmdet"]

    assert check.remedy is not None
    assert "mmcv" not in check.remedy


@pytest.mark.parametrize(
    ("installed", "why"),
    [
        ({**GOOD, "mmcv": "1.7.2"}, "mmcv 1.7.2: 2.x is needed"),
        ({**GOOD, "mmcv": "2.2.0"}, "mmcv 2.2.0: mmdet 3.3.0 refuses mmcv 2.2 and newer"),
        ({"mmdet": "3.3.0", "mmengine": "0.10.7", "mmcv-full": "1.7.2"}, "mmcv-full 1.7.2: that is MMCV 1.x"),
        ({**GOOD, "mmcv-lite": "2.2.0"}, "mmcv 2.1.0 and mmcv-lite 2.2.0: both install the module mmcv"),
        ({"mmdet": "3.3.0", "mmengine": "0.10.7", "mmcv-lite": "2.2.0"}, "mmcv-lite 2.2.0: mmdet 3.3.0 refuses mmcv"),
        ({**GOOD, "mmcv-full": "1.7.2"}, "mmcv 2.1.0 and mmcv-full 1.7.2: both install the module mmcv"),
        ({"mmdet": "3.3.0", "mmengine": "0.10.7"}, "not installed"),
    ],
)
def test_an_mmcv_that_cannot_work_is_refused_and_the_remedy_installs_one(installed: dict[str, str], why: str) -> None:
    check = judge(installed)["mmcv"]

    assert check.refuses
    assert check.found.startswith(why)
    assert check.remedy is not None
    *uninstall, install = check.remedy.splitlines()
    assert install == "python -m pip install mmcv-lite==2.1.0"
    present = [name for name in installed if name.startswith("mmcv")]
    assert uninstall == ([f"python -m pip uninstall -y {' '.join(present)}"] if present else [])


def test_the_fork_of_mmcv_is_too_new_for_mmdet_itself_but_not_for_its_fork() -> None:
    assert judge({"mmdet": "3.3.0", "onedl-mmengine": "0.10.12", "onedl-mmcv": "2.3.6"})["mmcv"].refuses
    assert judge(FORKS)["mmcv"].ok


def test_a_package_and_its_fork_at_once_are_refused() -> None:
    found = judge({**GOOD, "onedl-mmdetection": "3.5.1"})["mmdet"]

    assert found.refuses
    assert "mmdet 3.3.0 and onedl-mmdetection 3.5.1: both install the module mmdet" in found.found
    assert found.remedy is not None
    assert found.remedy.splitlines()[0] == "python -m pip uninstall -y mmdet onedl-mmdetection"


def test_mmengine_out_of_mmdets_range_is_refused() -> None:
    assert judge({**GOOD, "mmengine": "0.6.0"})["mmengine"].refuses


def test_another_version_within_the_range_only_warns() -> None:
    check = judge({**GOOD, "mmdet": "3.2.0"})["mmdet"]

    assert not check.ok
    assert check.severity is Severity.warning
    assert check.found == "mmdet 3.2.0, and the tests passed with 3.3.0"


def test_a_missing_requirement_refuses_and_another_version_warns() -> None:
    # mmcv, with its compiled operators, may be in the place of mmcv-lite.
    requirements = [
        "mmcv-lite==2.1.0",
        "mlflow==3.17.2",
        "rich>=13",
        "torch==2.13.0",
        "mmdet==3.3.0",
        "ruff>=0.11; extra == 'dev'",
    ]

    found = requirement_checks(requirements, {"mlflow": "3.18.0", "torch": "2.13.0+cpu"})

    assert [(check.name, check.ok, check.severity) for check in found] == [
        ("mlflow", False, Severity.warning),
        ("rich", False, Severity.error),
        ("torch", True, Severity.error),
    ]
    assert found[0].found == "3.18.0, and the tests passed with ==3.17.2"
    assert found[1].remedy == 'python -m pip install "rich>=13"'


def test_two_builds_of_opencv_overwrite_each_other() -> None:
    check = opencv_check({"opencv-python": "5.0.0", "opencv-python-headless": "4.12.0"})

    assert not check.ok
    assert check.remedy == (
        "python -m pip uninstall -y opencv-python opencv-python-headless\npython -m pip install opencv-python"
    )
    assert opencv_check({"opencv-python": "5.0.0"}).ok


def test_mmcv_is_one_without_compiled_operators_one_with_them_or_both_of_a_version() -> None:
    pure = {"mmdet": "3.3.0", "mmengine": "0.10.7", "mmcv-lite": "2.1.0"}

    assert judge(pure)["mmcv"].ok
    assert judge({**pure, "mmcv": "2.1.0"})["mmcv"].ok


@pytest.mark.parametrize(
    ("error", "finding", "remedy"),
    [
        (
            "No module named 'mmcv.ops.nms'",
            "mmcv.ops does not import",
            "pip install --force-reinstall --no-deps mmcv-lite",
        ),
        ("libGL.so.1: cannot open shared object file", "OpenCV", "apt-get install libgl1 libglib2.0-0"),
    ],
)
def test_a_failing_import_of_mmcv_is_explained(error: str, finding: str, remedy: str) -> None:
    found, typed = mmcv_problem(error)

    assert finding in found
    assert remedy in typed


STALE = "mmcv's compiled operators were built for another torch than 2.13.0 (undefined symbol)"
NONE = "mmcv was installed without compiled operators"
NO_KERNELS = "torchvision is not installed"


@pytest.mark.parametrize(
    ("choice", "on_gpu", "no_compiled", "no_torchvision", "found", "ok", "remedy"),
    [
        ("auto", False, NONE, None, "in plain torch", True, None),
        ("auto", False, None, None, "in plain torch", True, None),
        ("compiled", False, None, None, "compiled, by mmcv", True, None),
        ("compiled", False, NONE, None, NONE, False, "python .ci/mmcv_wheel.py\nor type ops=auto"),
        ("compiled", False, STALE, None, STALE, False, "python .ci/mmcv_wheel.py\nor type ops=auto"),
        ("auto", False, STALE, None, f"{STALE}; plain torch", False, "python .ci/mmcv_wheel.py --rebuild"),
        ("auto", True, NONE, None, "in plain torch, and with torchvision's kernels", True, None),
        ("auto", True, None, NO_KERNELS, "compiled, by mmcv", True, None),
        (
            "plain",
            True,
            None,
            NO_KERNELS,
            "plain torch is slow on a GPU",
            False,
            'pip install --no-deps "torchvision==0.28',
        ),
        (
            "auto",
            True,
            NONE,
            NO_KERNELS,
            "plain torch is slow on a GPU",
            False,
            'pip install --no-deps "torchvision==0.28',
        ),
    ],
)
def test_who_computes_the_operators(
    choice: str,
    on_gpu: bool,
    no_compiled: str | None,
    no_torchvision: str | None,
    found: str,
    ok: bool,
    remedy: str | None,
) -> None:
    check = operators_check(choice, on_gpu, no_compiled, no_torchvision)

    assert check.found.startswith(found)
    assert check.ok is ok
    # What was asked for and is not there refuses; what is slower is a warning.
    assert check.refuses is (not ok and choice == "compiled")
    assert remedy is None or remedy in str(check.remedy)
