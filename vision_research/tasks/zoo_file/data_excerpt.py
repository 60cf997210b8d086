"""The data config of a zoo file, moved to `data.root`."""

from __future__ import annotations

from typing import Any

from vision_research.config.schema import DataConfig
from vision_research.config.tree import replace
from vision_research.config.zoo_excerpt import zoo_excerpt


def data_excerpt(data: DataConfig) -> dict[str, Any]:
    """Return the data config of the zoo file, with `data.root` in place of the file's root."""
    assert data.recipe is not None
    old, new = data.recipe["root"].rstrip("/"), data.root.rstrip("/")
    excerpt = zoo_excerpt(data.recipe)
    if not old or data.recipe["root"] == data.root:
        return excerpt

    def moved(_: str, node: Any) -> Any:
        inside = isinstance(node, str) and (node == old or node.startswith(f"{old}/"))
        return new + node[len(old) :] if inside else node

    return dict(replace(excerpt, moved))
