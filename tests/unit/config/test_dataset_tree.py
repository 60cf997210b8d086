"""A data set is parted from its wrappers, and joined with them again."""

from __future__ import annotations

import pytest

from vision_research.config.dataset_tree import fill_template, separate


def test_a_data_set_is_parted_and_joined_to_what_it_was() -> None:
    dataset = {
        "type": "RepeatDataset",
        "times": 3,
        "dataset": {
            "type": "ConcatDataset",
            "datasets": ({"type": "A", "pipeline": [{"type": "X"}]}, {"type": "B", "pipeline": [{"type": "Y"}]}),
        },
    }
    template, datasets = separate(dataset)
    assert datasets == [{"type": "A"}, {"type": "B"}]
    assert fill_template(template, datasets) == dataset
    assert fill_template(template, [{"type": "Ours"}]) == {
        "type": "RepeatDataset",
        "times": 3,
        "dataset": {"type": "Ours", "pipeline": [{"type": "X"}]},
    }
    with pytest.raises(ValueError, match="3 data sets do not fit into 2 places"):
        fill_template(template, [{}, {}, {}])


def test_several_data_sets_in_one_place_are_concatenated() -> None:
    joined = fill_template({"place": 0, "pipeline": [{"type": "X"}]}, [{"type": "A"}, {"type": "B"}])
    assert joined["type"] == "ConcatDataset"
    assert [one["pipeline"] for one in joined["datasets"]] == [[{"type": "X"}], [{"type": "X"}]]
