"""Which images of a data set are drawn."""

from __future__ import annotations

import pytest

from vision_research.browsing.sample_pictures import choose_images
from vision_research.config.command_schema import BrowseConfig
from vision_research.config.errors import ConfigError

NAMES = [f"/data/train/{number:06d}.jpg" for number in range(1, 13)]


@pytest.mark.parametrize(("num", "expected"), [(1, [0]), (3, [0, 6, 11]), (12, list(range(12))), (99, list(range(12)))])
def test_images_are_spread_evenly_over_the_data_set(num: int, expected: list[int]) -> None:
    assert choose_images(NAMES, BrowseConfig(num=num)) == expected


def test_an_image_is_named_by_path_file_name_or_stem() -> None:
    words = BrowseConfig(images=["000007", "000002.jpg", "/data/train/000012.jpg"])
    assert choose_images(NAMES, words) == [6, 1, 11]


def test_of_images_of_one_name_the_first_is_chosen() -> None:
    assert choose_images(["/a/1.jpg", "/b/1.jpg"], BrowseConfig(images=["1.jpg", "/b/1.jpg"])) == [0, 1]


def test_an_absent_image_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(ConfigError, match=r"00003\.jpg is not among the 12 images of browse\.phase=train\. Did you me"):
        choose_images(NAMES, BrowseConfig(images=["00003.jpg"]))
