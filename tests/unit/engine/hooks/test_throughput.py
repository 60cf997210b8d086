from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vision_research.engine.hooks import throughput


def logged(toy_config: dict[str, Any]) -> list[dict[str, Any]]:
    (path,) = Path(toy_config["work_dir"]).glob("*/vis_data/scalars.json")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_images_per_second_and_memory_reach_the_log_at_its_interval(
    make_runner: Any, toy_config: dict[str, Any]
) -> None:
    make_runner(custom_hooks=[{"type": "ThroughputHook"}]).train()

    lines = logged(toy_config)
    assert [line["iter"] for line in lines] == [2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert all(line["images_per_s"] > 0 and line["rss_mb"] > 50 and line["workers_rss_mb"] == 0 for line in lines)


def test_images_of_all_ranks_are_counted_over_the_time_since_the_last_line(
    make_runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(throughput.dist, "get_world_size", lambda: 4)
    runner = make_runner()
    hook = throughput.ThroughputHook(interval=2)
    hook.before_train(runner)
    for index in range(2):
        hook.after_train_iter(runner, index, {"inputs": [0, 0, 0]})

    # Two batches of three on each of four ranks in two seconds.
    assert runner.message_hub.get_scalar("train/images_per_s").current() == pytest.approx(12.0)


def test_an_image_that_teacher_and_student_see_is_counted_once(
    make_runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: float(next(clock)))
    runner = make_runner()
    hook = throughput.ThroughputHook(interval=1)
    hook.before_train(runner)
    samples = {name: SimpleNamespace(img_path=name) for name in "abc"}
    branches = {"sup": [samples["a"], None], "unsup_teacher": [samples["b"], samples["c"]]}
    branches["unsup_student"] = branches["unsup_teacher"]
    hook.after_train_iter(runner, 0, {"inputs": dict.fromkeys(branches, [0, 0]), "data_samples": branches})
    assert runner.message_hub.get_scalar("train/images_per_s").current() == pytest.approx(3.0)


def test_a_validation_is_left_out_of_the_time(make_runner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: now)
    runner = make_runner()
    hook = throughput.ThroughputHook(interval=1)
    hook.before_train(runner)
    now = 100.0
    hook.after_val(runner)
    now = 102.0
    hook.after_train_iter(runner, 0, {"inputs": [0, 0]})

    assert runner.message_hub.get_scalar("train/images_per_s").current() == pytest.approx(1.0)


@pytest.mark.slow
def test_memory_of_loader_workers_is_measured(make_runner: Any, toy_config: dict[str, Any]) -> None:
    loader = {**toy_config["train_dataloader"], "num_workers": 2}
    make_runner(train_dataloader=loader, custom_hooks=[{"type": "ThroughputHook"}]).train()

    assert logged(toy_config)[0]["workers_rss_mb"] > 50
