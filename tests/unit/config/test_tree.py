"""Walking the trees of a config."""

from __future__ import annotations

from typing import Any

import pytest

from vision_research.config.tree import (
    as_tuples,
    dicts,
    kind_of,
    kinds,
    listed,
    replace,
    tuple_paths,
    typed_dicts,
    value_at,
    walk,
    with_tuples,
)

TREE: dict[str, Any] = {
    "type": "mmdet.CascadeRCNN",
    "roi_head": {"bbox_head": [{"type": "Shared2FCBBoxHead", "num_classes": 80}, {"num_classes": 3}]},
    "scales": ((1, 2), [3]),
}


def test_every_node_comes_with_the_path_that_a_person_types_and_parents_come_first() -> None:
    assert [path for path, _ in walk(TREE, "model")] == [
        "model",
        "model.type",
        "model.roi_head",
        "model.roi_head.bbox_head",
        "model.roi_head.bbox_head.0",
        "model.roi_head.bbox_head.0.type",
        "model.roi_head.bbox_head.0.num_classes",
        "model.roi_head.bbox_head.1",
        "model.roi_head.bbox_head.1.num_classes",
        "model.scales",
        "model.scales.0",
        "model.scales.0.0",
        "model.scales.0.1",
        "model.scales.1",
        "model.scales.1.0",
    ]


def test_dicts_are_the_very_ones_of_the_tree() -> None:
    found = dict(dicts(TREE))
    assert list(found) == ["", "roi_head", "roi_head.bbox_head.0", "roi_head.bbox_head.1"]
    assert found["roi_head.bbox_head.1"] is TREE["roi_head"]["bbox_head"][1]


def test_a_type_is_compared_without_its_scope() -> None:
    assert [path for path, _ in typed_dicts(TREE)] == ["", "roi_head.bbox_head.0"]
    assert kinds(TREE) == {"CascadeRCNN", "Shared2FCBBoxHead"}
    assert kind_of({}) == ""


@pytest.mark.parametrize("nothing", [None, 3, "text", [], {}])
def test_what_holds_no_dicts_with_a_type_has_no_kinds(nothing: Any) -> None:
    assert kinds(nothing) == set()


def test_children_are_replaced_before_their_parents_and_the_tree_stays_as_it_was() -> None:
    seen: list[str] = []

    def change(path: str, node: Any) -> Any:
        seen.append(path)
        return node * 10 if isinstance(node, int) else node

    tree = {"a": [1, (2,)], "b": {"c": 3}}
    assert replace(tree, change) == {"a": [10, (20,)], "b": {"c": 30}}
    assert seen == ["a.0", "a.1.0", "a.1", "a", "b.c", "b", ""]
    assert tree == {"a": [1, (2,)], "b": {"c": 3}}


def test_a_value_is_found_at_its_path_or_is_none() -> None:
    tree = {"model": {"roi_head": {"semantic_head": 1}, "neck": [1]}}
    assert value_at(tree, "model.roi_head.semantic_head") == 1
    assert value_at(tree, "model.neck.deeper") is None
    assert value_at(tree, "model.absent.deeper") is None


def test_tuples_become_lists_for_yaml_and_come_back_at_their_paths() -> None:
    paths = list(tuple_paths(TREE))
    assert paths == ["scales", "scales.0"]
    assert listed(TREE)["scales"] == [[1, 2], [3]]
    assert with_tuples(listed(TREE), [*paths, "leads.nowhere"]) == TREE
    assert as_tuples([1, [2, {"a": [3]}]]) == (1, (2, {"a": (3,)}))
