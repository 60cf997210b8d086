"""Real commands on a tiny data set: torchrun, SQLite MLflow, one or two CPU ranks."""

from __future__ import annotations

from pathlib import Path

import pytest
from workplace import Finished, Workplace


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
