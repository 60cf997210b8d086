from __future__ import annotations

from typing import Any

import pytest
import torch


def checkpointing(**settings: Any) -> dict[str, Any]:
    return {"custom_hooks": [{"type": "ActivationCheckpointingHook", **settings}]}


def count_forwards(runner: Any) -> list[int]:
    calls: list[int] = []
    runner.model.backbone.layer1[0].register_forward_hook(lambda *_: calls.append(1))
    return calls


def test_training_is_the_same_to_the_last_bit_running_statistics_included(make_runner: Any, seen_class: Any) -> None:
    plain, recomputed = seen_class(), seen_class()
    reference = make_runner(hooks=[plain])
    once = count_forwards(reference)
    reference.train()
    runner = make_runner(hooks=[recomputed], **checkpointing())
    twice = count_forwards(runner)
    runner.train()

    assert (len(once), len(twice)) == (18, 36), "the activations were not computed again"
    assert recomputed.losses == plain.losses
    for (name, ours), theirs in zip(
        runner.model.state_dict().items(), reference.model.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name
    assert runner.model.backbone.layer1[1].num_batches_tracked == 18


@pytest.mark.slow
def test_modules_can_be_named(make_runner: Any) -> None:
    runner = make_runner(**checkpointing(modules=["backbone.layer2"]))
    forwards = count_forwards(runner)
    runner.train()

    assert len(forwards) == 18, "layer1 was not asked for"


def test_validation_is_not_touched(make_runner: Any, with_validation: Any) -> None:
    runner = make_runner(**checkpointing(), **with_validation([0.5]))
    runner.train()
    assert runner.message_hub.get_scalar("val/toy/mAP").current() == 0.5


def test_a_detector_without_stages_is_refused(make_runner: Any) -> None:
    runner = make_runner(**checkpointing())
    runner.model.backbone = torch.nn.Conv2d(3, 4, 3)
    with pytest.raises(ValueError, match="ToyDetector has no stages to checkpoint"):
        runner.train()
