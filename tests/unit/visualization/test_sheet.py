"""Pictures side by side."""

from __future__ import annotations

import numpy as np

from vision_research.visualization.picture_files import contact_sheet


def picture(height: int, width: int, grey: int) -> np.ndarray:
    return np.full((height, width, 3), grey, np.uint8)


def test_pictures_stand_in_rows_and_none_is_made_larger() -> None:
    sheet = contact_sheet([(str(grey), picture(40, 60, grey)) for grey in (10, 20, 30, 40)])
    places = {grey: np.argwhere((sheet == grey).all(axis=2)) for grey in (10, 20, 30, 40)}
    assert {len(found) for found in places.values()} == {40 * 60}
    tops, lefts = zip(*(found.min(axis=0) for found in places.values()), strict=True)
    assert tops[0] == tops[1] < tops[2] == tops[3]
    assert lefts[0] == lefts[2] < lefts[1] == lefts[3]


def test_large_pictures_come_to_size_with_their_shape() -> None:
    sheet = contact_sheet([("a", picture(1000, 500, 10))], side=100)
    found = np.argwhere((sheet == 10).all(axis=2))
    assert np.ptp(found, axis=0).tolist() == [99, 49]


def test_a_caption_is_cut_off_where_its_picture_ends() -> None:
    sheet = contact_sheet([("m" * 200, picture(10, 80, 10)), ("", picture(10, 80, 20))], columns=2)
    second = np.argwhere((sheet == 20).all(axis=2)).min(axis=0)
    below = sheet[second[0] + 11 :, second[1] :]
    assert (below == 255).all(), "nothing is written under the second picture"
