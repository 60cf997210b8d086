from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mmengine import Config
from torch import distributed

from vision_research.engine.jobs import prepare_distributed


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, float]]]:
    """Note the process groups that are asked for; a real one of two ranks would wait for the other."""
    asked: list[tuple[str, float]] = []
    monkeypatch.setattr(
        distributed, "init_process_group", lambda backend, timeout: asked.append((backend, timeout.total_seconds()))
    )
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    yield asked


def test_one_process_is_trained_as_one_process(groups: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    cfg = Config({"launcher": "pytorch"})
    prepare_distributed(cfg)

    assert cfg.launcher == "none"
    assert "model_wrapper_cfg" not in cfg
    assert groups == []


def test_cpu_ranks_get_a_gloo_group_and_ddp_without_a_device(
    groups: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    cfg = Config({"env_cfg": {"dist_cfg": {"backend": "gloo", "timeout": 77}}, "find_unused_parameters": True})
    prepare_distributed(cfg)

    assert cfg.launcher == "pytorch"
    assert groups == [("gloo", 77.0)]
    assert cfg.model_wrapper_cfg.to_dict() == {
        "type": "MMDistributedDataParallel",
        "broadcast_buffers": False,
        "find_unused_parameters": True,
        "device_ids": None,
    }


def test_gpu_ranks_are_left_to_mmengine(groups: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    cfg = Config({})
    prepare_distributed(cfg)

    assert cfg.launcher == "pytorch"
    assert "model_wrapper_cfg" not in cfg
    assert groups == []


def test_a_wrapper_of_the_config_keeps_its_settings(
    groups: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    cfg = Config({"model_wrapper_cfg": {"type": "MMDistributedDataParallel", "static_graph": True}})
    prepare_distributed(cfg)

    assert cfg.model_wrapper_cfg.static_graph is True
    assert cfg.model_wrapper_cfg.device_ids is None
    assert groups == [("gloo", 1800.0)]
