from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vision_research.tracking.client import Store
from vision_research.tracking.run import TrackingSettings
from vision_research.work_dir import WorkDir


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs: its migrations take seconds, so they are made once and copied."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    Store(f"sqlite:///{path}", 10).ping()
    return path


@pytest.fixture
def settings(empty_database: Path, tmp_path: Path) -> TrackingSettings:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return TrackingSettings(f"sqlite:///{tmp_path}/mlflow.db", "bccd", request_timeout_s=5)


@pytest.fixture
def work_dir(tmp_path: Path) -> WorkDir:
    root = tmp_path / "runs" / "first"
    root.mkdir(parents=True)
    return WorkDir(root)
