"""Pictures and contact sheets as files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vision_research.visualization.picture_files import unique_names, write_pictures


def picture(grey: int = 0, width: int = 16) -> np.ndarray:
    return np.full((16, width, 3), grey, np.uint8)


def test_every_picture_gets_a_file_and_all_are_on_the_sheet(tmp_path: Path) -> None:
    write_pictures(tmp_path / "new" / "folder", [("a", picture(10)), ("b", picture(200))])
    written = {path.name: cv2.imread(str(path)) for path in (tmp_path / "new" / "folder").iterdir()}
    assert written.keys() == {"a.jpg", "b.jpg", "sheet.jpg"}
    assert written["a.jpg"].mean() == pytest.approx(10, abs=1)
    assert written["sheet.jpg"].shape[1] > 2 * 16


def test_many_pictures_take_several_sheets(tmp_path: Path) -> None:
    write_pictures(tmp_path, [(f"{number}", picture()) for number in range(37)])
    assert sorted(path.name for path in tmp_path.glob("sheet*")) == ["sheet_1.jpg", "sheet_2.jpg"]


def test_wide_pictures_stand_below_each_other(tmp_path: Path) -> None:
    write_pictures(tmp_path, [(name, picture(width=400)) for name in "ab"], one_column=True)
    assert cv2.imread(str(tmp_path / "sheet.jpg")).shape[1] < 2 * 400


def test_images_of_one_name_do_not_overwrite_each_other() -> None:
    assert list(unique_names(["a", "b", "a", "a-2", "a"])) == ["a", "b", "a-2", "a-2-2", "a-3"]
