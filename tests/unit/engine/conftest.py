"""A detector so small that a real MMEngine Runner trains it in a second, and a data set that says what was loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import nn

import vision_research.engine.registered  # noqa: F401
from vision_research.storage.checkpoint_types import allow_checkpoint_types

NUM_IMAGES = 12


@TRANSFORMS.register_module(force=True)
class ToyLoad:
    """Makes image `img_id`, and notes which stage of the augmentation it came through."""

    def __init__(self, stage: str, poisoned: int | None = None) -> None:
        self.stage = stage
        self.poisoned = poisoned

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        index = results["img_id"]
        image = torch.full((3, 8, 8), float(index)) + torch.arange(8.0)
        if index == self.poisoned:
            image[0, 0, 0] = float("nan")
        sample = BaseDataElement(metainfo={"img_id": index, "img_path": f"images/{index}.jpg", "stage": self.stage})
        return {"inputs": image / 10, "data_samples": sample}

    def __repr__(self) -> str:
        return f"ToyLoad({self.stage})"


@DATASETS.register_module(force=True)
class ToyDataset(BaseDataset):
    """Twelve images without files; every third one is upright."""

    def load_data_list(self) -> list[dict[str, Any]]:
        sizes = [(8, 16) if index % 3 == 0 else (16, 8) for index in range(NUM_IMAGES)]
        return [{"img_id": index, "width": width, "height": height} for index, (width, height) in enumerate(sizes)]


class ToyBackbone(nn.Module):
    """Two stages of the kind that ResNet has."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(dropout))
        self.layer2 = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer2(self.layer1(images))


class ToyNeck(nn.Module):
    """One layer; a class of its own, for torch.compile passes over a bare nn.Conv2d."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(4, 1, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.reduce(features)


@MODELS.register_module(force=True)
class ToyDetector(BaseModel):
    """Backbone, neck, and a loss that wants every output to be 1."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.backbone = ToyBackbone(dropout)
        self.neck = ToyNeck()

    def forward(self, inputs: list[torch.Tensor], data_samples: list[Any], mode: str = "tensor") -> Any:
        outputs = self.neck(self.backbone(torch.stack(inputs)))
        if mode == "loss":
            return {"loss_toy": ((outputs - 1) ** 2).mean()}
        return data_samples


@METRICS.register_module(force=True)
class ToyMetric(BaseMetric):
    """Returns the values it was given, one a validation; the last one from then on."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.values = values

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(len(data_samples))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {"toy/mAP": self.values.pop(0) if len(self.values) > 1 else self.values[0]}


class Seen(Hook):
    """Notes the image numbers, stages and losses of every iteration."""

    priority = "LOW"

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.batches: list[list[int]] = []
        self.stages: list[set[str]] = []
        self.losses: list[float] = []
        self.lrs: list[float] = []
        self.interrupt_after = interrupt_after

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.batches.append([sample.img_id for sample in data_batch["data_samples"]])
        self.stages.append({sample.stage for sample in data_batch["data_samples"]})
        self.losses.append(float(outputs["loss"].detach()))
        self.lrs.append(runner.optim_wrapper.get_lr()["lr"][0])


RunnerFactory = Callable[..., Runner]


@pytest.fixture
def toy_config(tmp_path: Path) -> dict[str, Any]:
    """The config of three epochs of six batches of two."""
    dataset = {"type": "ToyDataset", "pipeline": [{"type": "ToyLoad", "stage": "strong"}], "serialize_data": False}
    loader = {"batch_size": 2, "num_workers": 0, "dataset": dataset}
    return {
        "model": {"type": "ToyDetector"},
        "work_dir": str(tmp_path / "work"),
        "train_dataloader": {**loader, "sampler": {"type": "DefaultSampler", "shuffle": True}},
        "train_cfg": {"type": "ResumableEpochLoop", "max_epochs": 3},
        "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.1}},
        "param_scheduler": [{"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 10}],
        "default_hooks": {"logger": {"type": "LoggerHook", "interval": 2}},
        "randomness": {"seed": 0},
        "env_cfg": {"mp_cfg": {"mp_start_method": "fork"}, "dist_cfg": {"backend": "gloo"}},
        "default_scope": "mmengine",
        "log_level": "WARNING",
    }


@pytest.fixture
def make_runner(toy_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> RunnerFactory:
    """Build a runner from the toy config with some keys replaced."""
    count = 0
    # It asks gcc and torch for pages of text, for every runner.
    monkeypatch.setattr("mmengine.runner.runner.collect_env", dict)
    allow_checkpoint_types()

    def make(hooks: Sequence[Hook] = (), **changes: Any) -> Runner:
        nonlocal count
        count += 1
        # Loggers and message hubs are global and go by this name.
        config = Config(
            {**toy_config, **changes, "experiment_name": f"{Path(toy_config['work_dir']).parent.name}_{count}"},
            format_python_code=False,
        )
        runner = Runner.from_cfg(config)
        for hook in hooks:
            runner.register_hook(hook)
        return runner

    return make


@pytest.fixture
def seen_class() -> type[Seen]:
    """The hook that notes what a training saw."""
    return Seen


@pytest.fixture
def with_validation(toy_config: dict[str, Any]) -> Callable[[list[float]], dict[str, Any]]:
    """Return the keys that add a validation with given results, one a validation."""
    loader = {**toy_config["train_dataloader"], "sampler": {"type": "DefaultSampler", "shuffle": False}}

    def keys(values: list[float]) -> dict[str, Any]:
        evaluator = {"type": "ToyMetric", "values": values}
        return {"val_dataloader": loader, "val_cfg": {"type": "ValLoop"}, "val_evaluator": evaluator}

    return keys
