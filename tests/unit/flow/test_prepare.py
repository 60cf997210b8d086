"""The order of steps before a launch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from vision_research.config.compose import Composition
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.flow import from_s3, prepare


def test_a_work_dir_in_s3_is_downloaded_before_it_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    for step in ("specify", "validate", "begin_run"):
        monkeypatch.setattr(prepare, step, lambda _: None)
    monkeypatch.setattr(prepare, "resolve_hardware", lambda _: SimpleNamespace(node_rank=0))
    monkeypatch.setattr(from_s3, "has_run", lambda *_: False)
    config = TrainConfig(model={}, image_size=[64, 64], work_dir="s3://bucket/runs/x", resume=True)
    with pytest.raises(ConfigError, match="work_dir=s3://bucket/runs/x: there is no run in it"):
        prepare.place(Composition(config, "", (), {}, None, ""))
