from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook

from vision_research.engine.hooks.l1_loss import L1LossHook


class Head(torch.nn.Module):
    use_l1 = False


class Watch(Hook):
    priority = "LOW"

    def __init__(self) -> None:
        self.used: list[bool] = []

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.used.append(runner.model.bbox_head.use_l1)


@pytest.mark.parametrize(("by_epoch", "switch_at", "first"), [(True, 2, 12), (False, 4, 4)])
def test_the_loss_is_added_from_then_on(make_runner: Any, by_epoch: bool, switch_at: int, first: int) -> None:
    watch = Watch()
    hook = {"type": "L1LossHook", "switch_at": switch_at, "by_epoch": by_epoch}
    runner = make_runner(hooks=[watch], custom_hooks=[hook])
    runner.model.bbox_head = Head()
    runner.train()

    assert watch.used == [index >= first for index in range(18)]


def test_a_head_without_such_a_loss_is_refused(make_runner: Any) -> None:
    runner = make_runner(custom_hooks=[{"type": "L1LossHook", "switch_at": 0, "by_epoch": True}])
    runner.model.bbox_head = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match="Linear has no L1 loss to add"):
        runner.train()


def test_the_detector_inside_of_a_tracker_gets_it() -> None:
    tracker = torch.nn.Module()
    tracker.detector = torch.nn.Module()
    tracker.detector.bbox_head = Head()
    runner = SimpleNamespace(model=tracker, epoch=0, iter=0, logger=logging.getLogger("test"))
    L1LossHook(switch_at=0, by_epoch=False).before_train_iter(runner, 0)
    assert tracker.detector.bbox_head.use_l1
