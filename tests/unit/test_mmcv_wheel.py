from __future__ import annotations

import fcntl
import importlib.util
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "mmcv_wheel.py"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("mmcv_wheel", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mmcv_wheel"] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["mmcv_wheel"]


@pytest.fixture
def target(script: ModuleType) -> Any:
    return script.Target("2.13.0+cpu", "cpu", "cp311", "linux-x86_64")


def test_a_wheel_is_kept_apart_by_everything_that_its_binary_depends_on(target: Any, tmp_path: Path) -> None:
    others = [
        target,
        replace(target, torch="2.14.0+cpu"),
        replace(target, torch="2.13.0+cu130", accelerator="cu13.0-sm9.0"),
        replace(target, torch="2.13.0+cu130", accelerator="cu13.0-sm8.0-sm9.0"),
        replace(target, python="cp312"),
        replace(target, platform="linux-aarch64"),
    ]

    folders = {other.folder(tmp_path, "mmcv==2.1.0") for other in others} | {target.folder(tmp_path, "mmcv==2.2.0")}

    assert len(folders) == 7
    assert target.folder(tmp_path, "mmcv==2.1.0").name == "mmcv-2.1.0_torch-2.13.0+cpu_cpu_cp311_linux-x86_64"


def test_a_folder_name_has_no_path_in_it(target: Any, tmp_path: Path) -> None:
    asked = replace(target, accelerator="cu13.0-sm8.0;9.0 +PTX/x")

    assert asked.folder(tmp_path, "mmcv==2.1.0").parent == tmp_path


def fake_build(script: ModuleType, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def run(command: list[str], variables: dict[str, str], scratch: Path, log: Path) -> int:
        log.write_text("error: the compiler said no\n")
        (scratch / "out").mkdir()
        if code == 0:
            (scratch / "out" / "mmcv-2.1.0-cp311-cp311-linux_x86_64.whl").write_text("wheel")
        return code

    monkeypatch.setattr(script, "build_variables", lambda scratch, target: {})
    monkeypatch.setattr(script, "run_with_progress", run)


def test_a_build_leaves_the_wheel_and_takes_away_what_a_killed_one_left(
    script: ModuleType, target: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_build(script, monkeypatch, code=0)
    (tmp_path / "build-killed" / "tmp").mkdir(parents=True)

    wheel = script.build("mmcv==2.1.0", target, tmp_path)

    assert wheel == tmp_path / "mmcv-2.1.0-cp311-cp311-linux_x86_64.whl"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["build.log", wheel.name]
    said = capsys.readouterr().out
    assert "compiled ops of mmcv==2.1.0" in said
    assert "6 to 11 minutes" in said
    assert "once per machine" in said


def test_a_failed_build_leaves_no_wheel_and_shows_the_end_of_its_log(
    script: ModuleType, target: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_build(script, monkeypatch, code=1)

    with pytest.raises(SystemExit, match="the compiler said no") as caught:
        script.build("mmcv==2.1.0", target, tmp_path)

    assert str(tmp_path / "build.log") in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["build.log"]


def test_a_cpu_build_does_not_see_the_gpu(script: ModuleType, target: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(script.subprocess, "run", lambda *args, **kwargs: None)
    (tmp_path / "cpu").mkdir()
    (tmp_path / "gpu").mkdir()

    cpu = script.build_variables(tmp_path / "cpu", target)
    gpu = script.build_variables(tmp_path / "gpu", replace(target, accelerator="cu13.0-sm9.0"))

    assert (cpu["FORCE_CUDA"], cpu["CUDA_VISIBLE_DEVICES"], cpu["MMCV_WITH_OPS"]) == ("0", "", "1")
    assert (gpu["FORCE_CUDA"], gpu["MMCV_WITH_OPS"]) == ("1", "1")


@pytest.mark.slow
def test_progress_counts_what_ninja_has_made_of_what_it_was_told(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tmp" / "pip-wheel-x" / "build"
    folder.mkdir(parents=True)
    (folder / "build.ninja").write_text("rule compile\nbuild /a/one.o: compile /a/one.cpp\nbuild /a/two.o: compile x\n")
    (folder / "one.o").touch()
    monkeypatch.setattr(script, "PROGRESS_INTERVAL_S", 0.05)

    code = script.run_with_progress(
        [sys.executable, "-c", "import time; print('hello'); time.sleep(0.5); raise SystemExit(3)"],
        {},
        tmp_path,
        tmp_path / "build.log",
    )

    assert code == 3
    assert (tmp_path / "build.log").read_text() == "hello\n"
    assert "1 of 2 files" in capsys.readouterr().out


@pytest.mark.slow
def test_a_second_build_of_the_same_wheel_waits_for_the_first(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, order = tmp_path / ".lock", []

    def second() -> None:
        with script.locked(lock):
            order.append("second")

    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join()

    assert order == ["first", "second"]
    assert "waiting for it" in capsys.readouterr().out
