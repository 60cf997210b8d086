"""Each knob of a training, turned by one override, is really on: seen in the training itself, not in its config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

import vision_research.engine.registered  # noqa: F401
from vision_research.config.schema import TrainConfig
from vision_research.engine.jobs import WorkDirRunner
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify

pytestmark = pytest.mark.slow
CLASSES = tuple("0123456789")
TINY = ("image_size=[64,64]", "data.limit_train=8", "data.limit_val=4", "data.batch_size=2", "data.num_workers=0")


class Watch(Hook):
    """Notes losses and what the first convolution computes in."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.dtypes: set[torch.dtype] = set()
        self.steps = 0

    def before_train(self, runner: Runner) -> None:
        convolution = next(module for module in runner.model.modules() if isinstance(module, torch.nn.Conv2d))
        convolution.register_forward_hook(lambda module, args, output: self.dtypes.add(output.dtype))
        runner.optim_wrapper.optimizer.register_step_post_hook(lambda *args: setattr(self, "steps", self.steps + 1))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.losses.append(float(outputs["loss"]))


@pytest.fixture
def trained(typed: Callable[..., TrainConfig], digits: Path, tmp_path: Path) -> Callable[..., tuple[Runner, Watch]]:
    """Train four iterations in this process."""

    def train(*overrides: str, name: str = "run") -> tuple[Runner, Watch]:
        words = (f"data.root={digits}", "data.kind=coco", "tracking=none", "hw=cpu", "log_interval=1")
        config = typed(*TINY, *words, "schedule.max_epochs=1", "schedule.warmup_iters=0", *overrides)
        tree = lower(specify(config), LoweringInputs(tmp_path / name, CLASSES, num_train=8))
        runner = WorkDirRunner.from_cfg(Config({**tree, "experiment_name": f"{tmp_path.name}-{name}"}))
        watch = Watch()
        runner.register_hook(watch)
        runner.train()
        return runner, watch

    return train


Trained = Callable[..., tuple[Runner, Watch]]


def test_plain_training_steps_at_every_iteration_in_single_precision(trained: Trained) -> None:
    _, watch = trained()
    assert (len(watch.losses), watch.steps, watch.dtypes) == (4, 4, {torch.float32})


def test_mixed_precision_computes_in_bfloat16(trained: Trained) -> None:
    _, watch = trained("hw.precision=bf16")
    assert torch.bfloat16 in watch.dtypes
    assert all(loss == loss for loss in watch.losses)


def test_accumulation_steps_every_second_iteration(trained: Trained) -> None:
    _, watch = trained("schedule.accumulation=2")
    assert (len(watch.losses), watch.steps) == (4, 2)


def test_clipping_bounds_the_step(trained: Trained) -> None:
    def moved(runner: Runner, before: dict[str, torch.Tensor]) -> float:
        after = runner.model.state_dict()
        changes = [(after[name] - value).abs().max() for name, value in before.items() if value.is_floating_point()]
        return float(max(changes))

    sgd = ("schedule.optimizer=SGD", "schedule.lr=1.0", "schedule.ema=false")
    runner, _ = trained(*sgd, "schedule.clip_grad=1.0e-9", name="clipped")
    # With a gradient norm of at most 1e-9, four steps of lr 1 move no weight by more than 4e-9.
    weights = {name: parameter.detach().clone() for name, parameter in runner.model.named_parameters()}
    again, _ = trained(*sgd, "schedule.clip_grad=1.0e-9", name="again")
    assert moved(again, weights) < 1e-6
    assert "train/grad_norm" in runner.message_hub.log_scalars
    free, _ = trained(*sgd, "schedule.clip_grad=0", name="free")
    assert "train/grad_norm" not in free.message_hub.log_scalars
    assert moved(free, weights) > 1e-4


def test_the_average_of_the_weights_is_another_model(trained: Trained) -> None:
    runner, _ = trained("schedule.ema=true", "schedule.ema_momentum=0.01")
    average = next(hook for hook in runner.hooks if isinstance(hook, EMAHook)).ema_model.module
    pairs = zip(average.parameters(), runner.model.parameters(), strict=True)
    assert any(not torch.equal(mine, theirs) for mine, theirs in pairs)


def test_a_seed_fixes_the_training(trained: Trained) -> None:
    words = ("aug=mosaic_mixup", "aug.final_epochs=0", "hw.deterministic=true")
    first, second, other = (trained(*words, f"seed={seed}", name=f"{n}")[1].losses for n, seed in enumerate((1, 1, 2)))
    assert first == second
    assert first != other


def test_early_stopping_ends_a_training_that_gets_no_better(trained: Trained) -> None:
    words = ("schedule.max_epochs=9", "schedule.early_stopping=2", "schedule.early_stopping_min_delta=2.0")
    runner, watch = trained(*words, "schedule.val_interval=1")
    assert runner.epoch < 9
    assert len(watch.losses) == 4 * runner.epoch


def test_validation_changes_its_rhythm(trained: Trained) -> None:
    trained_runner, _ = trained(
        "schedule.max_epochs=7", "schedule.val_interval=3", "schedule.dynamic_intervals=[[5,1]]", name="rhythm"
    )
    values = trained_runner.message_hub.log_scalars["val/coco/bbox_mAP"]
    # After epochs 3, 4, 5, 6 and 7: MMEngine turns to the new interval at the end of the one before its start.
    assert values.data[0].size == 5


def test_activations_are_computed_again_in_the_backward_pass(trained: Trained) -> None:
    plain, first = trained("schedule.ema=false", name="plain")
    again, second = trained("schedule.ema=false", "hw.activation_checkpointing=true", name="again")
    assert second.losses == pytest.approx(first.losses, rel=1e-3)


def test_channels_last_reaches_the_weights(trained: Trained) -> None:
    runner, _ = trained("hw.channels_last=true", "schedule.ema=false")
    kernels = [module.weight for module in runner.model.modules() if isinstance(module, torch.nn.Conv2d)]
    wide = [kernel for kernel in kernels if kernel.shape[1] > 1 and kernel.shape[2] > 1]
    assert wide and all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in wide)


def test_repeated_and_balanced_data_switches_its_stage(trained: Trained) -> None:
    runner, watch = trained(
        "aug=mosaic", "data.repeat=2", "data.oversample_thr=0.5", "schedule.max_epochs=2", "aug.final_epochs=1"
    )
    dataset = runner.train_dataloader.dataset
    while hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    assert "CachedMosaic" not in [type(step).__name__ for step in dataset.pipeline.transforms]
    assert len(watch.losses) > 0
