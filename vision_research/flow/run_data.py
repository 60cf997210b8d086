"""The `data` group that a run was trained with, read from its folder."""

from __future__ import annotations

from typing import Any

from vision_research.flow.source import Source


def run_data(source: Source) -> dict[str, Any]:
    """Return the group as it was composed; empty for a bare checkpoint."""
    if source.work_dir is None or not source.work_dir.config_yaml.is_file():
        return {}
    from vision_research.config.compose import read_yaml

    return dict(read_yaml(source.work_dir.config_yaml).get("data") or {})
