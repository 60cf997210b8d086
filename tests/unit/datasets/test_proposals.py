"""Files of proposals: what is written is read, and what does not fit the images is told before anything starts."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from vision_research.datasets.proposals import Proposals, proposal_file_problem, read_proposals, write_proposals


def some(name: str, count: int) -> Proposals:
    rng = np.random.default_rng(count)
    return Proposals(name, rng.uniform(0, 90, (count, 4)).astype(np.float32), rng.random(count).astype(np.float32))


def write_coco(path: Path, names: dict[int, str]) -> Path:
    path.write_text(json.dumps({"images": [{"id": number, "file_name": name} for number, name in names.items()]}))
    return path


def test_what_is_written_is_read_also_of_images_without_any(tmp_path: Path) -> None:
    written = {7: some("a.jpg", 3), 3: some("b.jpg", 0), 9: some("c.jpg", 5)}
    write_proposals(tmp_path / "p.npz", written)
    read = read_proposals((tmp_path / "p.npz").read_bytes())
    assert list(read) == [7, 3, 9]
    for number, one in written.items():
        assert read[number].name == one.name
        np.testing.assert_array_equal(read[number].boxes, one.boxes)
        np.testing.assert_array_equal(read[number].scores, one.scores)
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]


def test_no_images_are_a_file_too(tmp_path: Path) -> None:
    write_proposals(tmp_path / "p.npz", {})
    assert read_proposals((tmp_path / "p.npz").read_bytes()) == {}


def test_a_pickle_is_not_read() -> None:
    content = io.BytesIO()
    np.save(content, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for harmful in (content.getvalue(), b"", b"no file"):
        with pytest.raises(ValueError, match="no file of proposals"):
            read_proposals(harmful)


def test_images_that_are_not_in_it_are_named(tmp_path: Path) -> None:
    write_proposals(tmp_path / "p.npz", {1: some("a.jpg", 2), 2: some("b.jpg", 2)})
    good = write_coco(tmp_path / "good.json", {1: "folder/a.jpg", 2: "b.jpg"})
    assert proposal_file_problem("data.train_proposals", tmp_path / "p.npz", good) is None
    other = write_coco(tmp_path / "other.json", {1: "a.jpg", 2: "other/z.jpg", 3: "c.jpg"})
    problem = proposal_file_problem("data.train_proposals", tmp_path / "p.npz", other)
    assert problem is not None and "2 of the 3 images" in problem and "(other/z.jpg, c.jpg)" in problem
    assert "python -m vision_research.test run=RUN_OF_AN_RPN" in problem
    absent = proposal_file_problem("data.train_proposals", tmp_path / "q.npz", good)
    assert absent is not None and "there is no such file" in absent
