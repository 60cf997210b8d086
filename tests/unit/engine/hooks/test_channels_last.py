from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

# Dropout takes its mask in the order of the memory.
MODEL = {"model": {"type": "ToyDetector", "dropout": 0.0}}
HOOK = {"custom_hooks": [{"type": "ChannelsLastHook"}]}


@pytest.fixture
def process_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A gloo group of this process alone."""
    monkeypatch.setenv("LOCAL_RANK", "0")
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def is_channels_last(tensor: torch.Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()


@pytest.mark.slow
def test_weights_and_images_are_laid_out_channels_last_and_losses_stay(make_runner: Any, seen_class: Any) -> None:
    plain, laid_out, layouts = seen_class(), seen_class(), []
    make_runner(hooks=[plain], **MODEL).train()
    runner = make_runner(hooks=[laid_out], **MODEL, **HOOK)
    runner.model.backbone.layer1.register_forward_pre_hook(
        lambda module, args: layouts.append(is_channels_last(args[0]))
    )
    runner.train()

    assert is_channels_last(runner.model.backbone.layer1[0].weight)
    assert layouts == [True] * 18
    # Only the order of the sums differs.
    assert laid_out.losses == pytest.approx(plain.losses, rel=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("error:Grad strides do not match bucket view strides")
@pytest.mark.usefixtures("process_group")
def test_ddp_learns_of_the_new_layout_and_trains_the_same_weights(make_runner: Any, seen_class: Any) -> None:
    wrapper = {"type": "MMDistributedDataParallel", "device_ids": None, "broadcast_buffers": False}
    distributed = {**MODEL, "launcher": "pytorch", "model_wrapper_cfg": wrapper}
    plain, laid_out = seen_class(), seen_class()
    make_runner(hooks=[plain], **distributed).train()
    runner = make_runner(hooks=[laid_out], **distributed, **HOOK)
    runner.train()

    assert is_channels_last(runner.model.module.backbone.layer1[0].weight)
    assert laid_out.losses == pytest.approx(plain.losses, rel=1e-3)
