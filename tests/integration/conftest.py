"""Real commands on a tiny data set: torchrun, SQLite MLflow, one or two CPU ranks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from workplace import Finished, Workplace

from vision_research.registry import make_embedded


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded data set, made once for all commands."""
    folder = tmp_path_factory.mktemp("data") / "digits"
    make_embedded("digits", folder)
    return folder


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Workplace:
    """An empty folder that holds nothing but the data."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "data").mkdir()
    (folder / "data" / "digits").symlink_to(digits)
    return Workplace(folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Finished:
    """One trained, tracked and exported run, `runs/one`, for all tests that look at such a run or start from it.

    It goes through as much as one run can: mosaic, MixUp, the switch to plain images, and a validation.
    """
    folder = tmp_path_factory.mktemp("finished")
    (folder / "data").mkdir()
    (folder / "data" / "digits").symlink_to(digits)
    length = ("schedule.max_epochs=8", "schedule.val_interval=8", "aug=mosaic_mixup", "aug.final_epochs=3")
    printed = Workplace(folder).run("work_dir=runs/one", *length, "seed=7", "export.num_images=2", fresh=True)
    return Finished(folder, printed)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], float], None]:
    """Wait until something holds, and fail when it does not."""
    import time

    def wait(condition: Callable[[], bool], timeout_s: float = 180) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, "it did not come true in time"
            time.sleep(0.2)

    return wait
