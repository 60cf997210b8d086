from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook

from vision_research.engine.hooks.finite_loss import NonFiniteLossError, NonFiniteWeightsError

HOOK = {"custom_hooks": [{"type": "FiniteLossHook"}]}


def checkpoint_every_iteration() -> dict[str, Any]:
    return {"default_hooks": {"checkpoint": {"type": "CheckpointHook", "interval": 1, "by_epoch": False}}}


@pytest.mark.slow
def test_a_nan_stops_the_run_and_names_iteration_epoch_losses_and_images(
    make_runner: Any, toy_config: dict[str, Any], seen_class: Any
) -> None:
    whole = seen_class()
    make_runner(hooks=[whole]).train()
    first = next(index for index, batch in enumerate(whole.batches) if 7 in batch)
    dataset = {"type": "ToyDataset", "pipeline": [{"type": "ToyLoad", "stage": "strong", "poisoned": 7}]}
    loader = {**toy_config["train_dataloader"], "dataset": dataset}
    for path in Path(toy_config["work_dir"]).glob("*.pth"):
        path.unlink()

    with pytest.raises(NonFiniteLossError) as caught:
        make_runner(train_dataloader=loader, **HOOK, **checkpoint_every_iteration()).train()

    error = caught.value
    assert error.image_names == [f"images/{index}.jpg" for index in whole.batches[first]]
    assert f"not finite at iteration {first + 1} (epoch 1, rank 0): loss=nan, loss_toy=nan" in str(error)
    assert "images/7.jpg" in str(error)
    saved = {path.name for path in Path(toy_config["work_dir"]).glob("*.pth")}
    assert saved == {f"iter_{index}.pth" for index in range(1, first + 1)}, "a checkpoint was written after the NaN"


def test_weights_poisoned_by_another_rank_are_not_saved(make_runner: Any, toy_config: dict[str, Any]) -> None:
    class PoisonWeights(Hook):
        def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            if runner.iter == 2:
                with torch.no_grad():
                    runner.model.neck.reduce.weight[0, 0] = float("nan")

    with pytest.raises(
        NonFiniteWeightsError, match=r"1 of 10 parameters are not finite at iteration 3 \(first: neck.reduce.weight\)"
    ):
        make_runner(hooks=[PoisonWeights()], **HOOK, **checkpoint_every_iteration()).train()

    assert sorted(path.name for path in Path(toy_config["work_dir"]).glob("*.pth")) == ["iter_1.pth", "iter_2.pth"]


def test_it_reads_what_the_log_has_copied_and_touches_no_tensor(
    make_runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vision_research.engine.hooks.finite_loss import FiniteLossHook

    class Untouchable:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"the hook looked at the tensor: {name}")

    runner = make_runner()
    runner.message_hub.update_scalar("train/loss", 0.5)
    FiniteLossHook().after_train_iter(runner, 0, {"data_samples": []}, {"loss": Untouchable()})
