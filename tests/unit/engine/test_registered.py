from __future__ import annotations

from typing import Any

import pytest
from mmengine.registry import HOOKS, LOOPS, init_default_scope

OUR_HOOKS = (
    "ActivationCheckpointingHook",
    "ChannelsLastHook",
    "CompilePartsHook",
    "FiniteLossHook",
    "GracefulStopHook",
    "L1LossHook",
    "PipelineStageHook",
    "ProgressHook",
    "ResumableEarlyStoppingHook",
    "ThroughputHook",
)


@pytest.mark.parametrize("scope", ["mmdet", "mmengine"])
def test_one_import_registers_every_hook_and_loop_in_the_scope_of_the_detectors(scope: str) -> None:
    init_default_scope(scope)
    with HOOKS.switch_scope_and_registry(None) as hooks:
        assert [name for name in OUR_HOOKS if hooks.get(name) is None] == []
    with LOOPS.switch_scope_and_registry(None) as loops:
        assert loops.get("ResumableEpochLoop") is not None
        assert loops.get("ResumableIterLoop") is not None


@pytest.mark.slow
def test_the_hooks_of_every_run_change_no_loss(make_runner: Any, seen_class: Any) -> None:
    plain, ours = seen_class(), seen_class()
    stock_loop = {"type": "EpochBasedTrainLoop", "max_epochs": 3}
    make_runner(hooks=[plain], train_cfg=stock_loop).train()
    hooks = ["FiniteLossHook", "GracefulStopHook", "ThroughputHook", "ProgressHook"]
    make_runner(hooks=[ours], custom_hooks=[{"type": name} for name in hooks]).train()

    assert ours.losses == plain.losses
    assert len(ours.losses) == 18
