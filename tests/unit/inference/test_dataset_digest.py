"""The digest of evaluated images follows names and annotations, not where the images are."""

from __future__ import annotations

from typing import Any

from vision_research.inference.evaluate import dataset_digest


class Images:
    def __init__(self, *infos: dict[str, Any]) -> None:
        self.infos = infos

    def __len__(self) -> int:
        return len(self.infos)

    def get_data_info(self, index: int) -> dict[str, Any]:
        return self.infos[index]


def image(path: str, label: int = 0, left: float = 1) -> dict[str, Any]:
    return {"img_path": path, "instances": [{"bbox_label": label, "bbox": [left, 2, 3, 4]}]}


def test_the_digest_is_that_of_names_and_boxes() -> None:
    digest = dataset_digest(Images(image("/a/1.jpg"), image("/a/2.jpg")))
    assert len(digest) == 16
    assert dataset_digest(Images(image("/b/1.jpg"), image("/b/2.jpg"))) == digest
    others = [
        Images(image("/a/1.jpg")),
        Images(image("/a/1.jpg"), image("/a/3.jpg")),
        Images(image("/a/1.jpg", label=1), image("/a/2.jpg")),
        Images(image("/a/1.jpg", left=1.5), image("/a/2.jpg")),
    ]
    assert digest not in {dataset_digest(other) for other in others}
