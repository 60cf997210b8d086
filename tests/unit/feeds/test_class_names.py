"""Names of classes by label, as MMDetection draws some of them for each image."""

from __future__ import annotations

from vision_research.feeds.class_names.transform import NamesByLabel


def test_names_get_the_numbers_of_their_labels() -> None:
    assert NamesByLabel().transform({"text": ("cat", "dog")})["text"] == {"0": "cat", "1": "dog"}


def test_every_sample_has_names_of_its_own() -> None:
    names = ("cat", "dog/puppy")
    first = NamesByLabel().transform({"text": names})
    # MMDetection puts one of several words in the place of all.
    first["text"]["1"] = "puppy"
    assert NamesByLabel().transform({"text": names})["text"]["1"] == "dog/puppy"
