from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.visualization import Visualizer

import vision_research.tracking.spool_backend  # noqa: F401  # registers SpoolVisBackend
from vision_research.tracking.records import End, Metrics, Tags
from vision_research.tracking.spool_reader import SpoolReader


@pytest.fixture
def hub(request: pytest.FixtureRequest) -> Iterator[MessageHub]:
    before = dict(MessageHub._instance_dict)
    yield MessageHub.get_instance(f"{request.node.nodeid}")
    MessageHub._instance_dict.clear()
    MessageHub._instance_dict.update(before)


@pytest.fixture
def visualizer(tmp_path: Path) -> Visualizer:
    backend = {"type": "SpoolVisBackend", "spool_dir": str(tmp_path / "spool"), "limit_mb": 1}
    return Visualizer(vis_backends=[backend], save_dir=str(tmp_path))


def metrics(tmp_path: Path) -> list[Metrics]:
    return [record for record, _ in SpoolReader(tmp_path / "spool").records() if isinstance(record, Metrics)]


def log_train(visualizer: Visualizer, hub: MessageHub, iteration: int, **scalars: Any) -> None:
    """Log as LoggerHook and RuntimeInfoHook do in the iteration of a 0-based index, in epochs of ten."""
    hub.update_info("iter", iteration)
    hub.update_info("epoch", iteration // 10)
    tag = {"lr": 0.004, **scalars, "epoch": iteration // 10 + 1, "iter": iteration + 1}
    visualizer.add_scalars(tag, step=iteration + 1, file_path="x.json")


def test_training_scalars_get_units_and_the_iterations_done(
    visualizer: Visualizer, hub: MessageHub, tmp_path: Path
) -> None:
    log_train(visualizer, hub, 14, loss=2.5, loss_cls=1.5, time=0.2, data_time=0.01, memory=3100, images_per_s=40.0)
    (record,) = metrics(tmp_path)
    assert record.step == 15
    assert record.values == {
        "train/lr": 0.004,
        "train/loss": 2.5,
        "train/loss_cls": 1.5,
        "train/iter_time_s": 0.2,
        "train/data_time_s": 0.01,
        "train/memory_mb": 3100.0,
        "train/images_per_s": 40.0,
        "epoch": 2.0,
    }


def test_a_validation_shares_the_steps_of_the_training(visualizer: Visualizer, hub: MessageHub, tmp_path: Path) -> None:
    log_train(visualizer, hub, 18, loss=2.0)
    hub.update_info("iter", 19)  # the last iteration of the epoch was not logged
    visualizer.add_scalars({"coco/bbox_mAP": 0.3, "coco/bbox_mAP_50": 0.5, "time": 0.1}, step=2, file_path="x.json")
    train, val = metrics(tmp_path)
    assert (train.step, val.step) == (19, 20)
    assert val.values == {"val/bbox_mAP": 0.3, "val/bbox_mAP_50": 0.5, "val/iter_time_s": 0.1, "epoch": 2.0}


def test_the_epoch_is_recorded_once_a_step(visualizer: Visualizer, hub: MessageHub, tmp_path: Path) -> None:
    log_train(visualizer, hub, 19, loss=2.0)
    visualizer.add_scalars({"coco/bbox_mAP": 0.3}, step=2)
    train, val = metrics(tmp_path)
    assert train.step == val.step == 20
    assert ("epoch" in train.values, "epoch" in val.values) == (True, False)


def test_training_by_iteration_has_no_epoch(visualizer: Visualizer, hub: MessageHub, tmp_path: Path) -> None:
    hub.update_info("iter", 9)
    hub.update_info("epoch", 0)
    visualizer.add_scalars({"loss": 2.0, "iter": 10}, step=10)
    visualizer.add_scalars({"coco/bbox_mAP": 0.3}, step=10)
    assert [record.values for record in metrics(tmp_path)] == [{"train/loss": 2.0}, {"val/bbox_mAP": 0.3}]


def test_every_class_has_its_ap(visualizer: Visualizer, hub: MessageHub, tmp_path: Path) -> None:
    per_class = {"coco/RBC_precision": 0.4, "coco/person/rider_precision": 0.2, "coco/50%_precision": float("nan")}
    visualizer.add_scalars(per_class, step=3)
    (record,) = metrics(tmp_path)
    assert record.step == 3  # nothing was trained: LoggerHook's own step
    assert list(record.values) == ["val/AP/RBC", "val/AP/person_x002F_rider", "val/AP/50_x0025_"]
    assert math.isnan(record.values["val/AP/50_x0025_"])


def test_other_metrics_keep_their_prefix(visualizer: Visualizer, hub: MessageHub, tmp_path: Path) -> None:
    visualizer.add_scalars({"pascal_voc/mAP": 0.3, "loss_val": 1.0}, step=1)
    assert set(metrics(tmp_path)[0].values) == {"val/pascal_voc/mAP", "val/loss_val"}


def test_a_log_with_hierarchy_gives_the_same_names(visualizer: Visualizer, hub: MessageHub, tmp_path: Path) -> None:
    hub.update_info("iter", 0)
    visualizer.add_scalars({"train/loss": 2.0, "train/time": 0.1, "iter": 1}, step=1)
    assert set(metrics(tmp_path)[0].values) == {"train/loss", "train/iter_time_s"}


def test_arrays_of_one_element_are_numbers_and_texts_are_left_out(
    visualizer: Visualizer, hub: MessageHub, tmp_path: Path
) -> None:
    hub.update_info("iter", 0)
    scalars = {"loss": torch.tensor(2.0), "acc": np.float32(0.5), "note": "warm", "bins": [1, 2], "iter": 1}
    visualizer.add_scalars(scalars, step=1)
    assert metrics(tmp_path)[0].values == {"train/loss": 2.0, "train/acc": 0.5}


def test_hooks_reach_the_spool_through_the_backend(visualizer: Visualizer, hub: MessageHub, tmp_path: Path) -> None:
    visualizer.get_backend("SpoolVisBackend").experiment.tags({"aug.switched_at_epoch": "8"})
    visualizer.add_scalar("train/my loss", 1.0, step=4)
    visualizer.close()
    records = [record for record, _ in SpoolReader(tmp_path / "spool").records()]
    assert records[0] == Tags({"aug.switched_at_epoch": "8"})
    assert isinstance(records[1], Metrics)
    assert (records[1].values, records[1].step) == ({"train/my loss": 1.0}, 4)
    assert records[2] == End()


def test_nothing_is_written_before_something_is_logged(visualizer: Visualizer, tmp_path: Path) -> None:
    visualizer.close()
    assert not (tmp_path / "spool").exists()


@pytest.mark.slow
def test_a_rank_never_imports_mlflow(tmp_path: Path) -> None:
    import subprocess

    code = "import sys, vision_research.tracking.spool_backend; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
