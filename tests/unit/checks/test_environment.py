from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest

from vision_research.checks import environment
from vision_research.checks.check import Check, Severity, refuse
from vision_research.config.errors import EnvironmentProblem


def test_a_fit_machine_is_not_refused(tmp_path: Path) -> None:
    pytest.importorskip("mmcv")
    environment.require(work_dir=tmp_path / "new" / "run", tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")

    assert list(tmp_path.iterdir()) == []


def test_mmdet_2_refuses_the_run_with_the_doctors_words(monkeypatch: pytest.MonkeyPatch) -> None:
    forks = {"onedl-mmdetection", "onedl-mmengine", "onedl-mmcv"}
    installed = {name: version for name, version in environment.installed_versions().items() if name not in forks}
    installed |= {"mmdet": "2.28.2", "mmengine": "0.10.7", "mmcv": "2.1.0"}
    monkeypatch.setattr(environment, "installed_versions", lambda: installed)

    with pytest.raises(EnvironmentProblem, match="mmdet 2.28.2: 3.x is needed") as caught:
        environment.require()

    (doctors,) = [check for check in environment.package_checks() if check.name == "mmdet"]
    assert str(caught.value) == str(doctors)
    assert "    python -m pip install mmdet==3.3.0 mmengine==0.10.7" in str(caught.value).splitlines()


def test_wrong_versions_are_told_before_anything_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "installed_versions", lambda: {"mmdet": "2.28.2"})
    monkeypatch.setattr(environment, "operators_check", lambda on_gpu: pytest.fail("mmcv was imported"))

    assert any(check.refuses for check in environment.package_checks())


def test_every_problem_is_raised_at_once_and_warnings_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    found = [
        Check("a", False, "broken", remedy="mend a\nmend a more"),
        Check("b", False, "worn", Severity.warning, "look at b"),
        Check("c", False, "gone"),
        Check("d", True, "fine"),
    ]

    with caplog.at_level(logging.WARNING), pytest.raises(EnvironmentProblem) as caught:
        refuse(found)

    assert str(caught.value) == "a: broken. Type:\n    mend a\n    mend a more\nc: gone"
    assert [record.getMessage() for record in caplog.records] == ["b: worn. Type:\n    look at b"]


def test_a_work_dir_that_does_not_exist_is_judged_by_the_folder_that_does(tmp_path: Path) -> None:
    (check,) = environment.folder_checks(tmp_path / "a" / "b", None)

    assert check.name == "work_dir"
    assert check.found.partition(" at ")[2].partition(":")[0] == str(tmp_path)


def test_a_store_that_does_not_answer_refuses_and_says_what_to_type() -> None:
    check = environment.store_check("http://127.0.0.1:9")

    assert check.refuses
    assert "tracking.uri=http://127.0.0.1:9" in str(check)
    assert "mlflow server --host 127.0.0.1 --port 9" in str(check)


def test_a_folder_is_no_store() -> None:
    assert "Type tracking.uri=sqlite:///mlflow.db" in environment.store_check("./mlruns").found


def test_a_sqlite_store_is_fit_and_is_not_touched(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    sqlite3.connect(database).close()
    before = database.stat().st_mtime_ns

    assert environment.store_check(f"sqlite:///{database}") == Check("mlflow store", True, f"sqlite:///{database}")
    assert database.stat().st_mtime_ns == before
