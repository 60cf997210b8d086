from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vision_research.engine.outcome import read_events

EPOCHS = {"train_cfg": {"type": "ResumableEpochLoop", "max_epochs": 9}}


def stopping(patience: int, **settings: Any) -> dict[str, Any]:
    hook = {"type": "ResumableEarlyStoppingHook", "monitor": "toy/mAP", "patience": patience, **settings}
    return {**EPOCHS, "custom_hooks": [hook]}


@pytest.mark.slow
def test_it_stops_after_so_many_validations_without_a_gain(
    make_runner: Any, with_validation: Any, toy_config: dict[str, Any]
) -> None:
    runner = make_runner(**stopping(patience=2), **with_validation([0.1, 0.12, 0.11, 0.13, 0.13, 0.13, 0.5]))
    runner.train()

    # 0.11 is one without a gain, 0.13 starts the count anew, and the same value again is no gain.
    assert runner.epoch == 6
    (event,) = read_events(Path(toy_config["work_dir"]))
    assert (event["event"], event["epoch"], event["best"]) == ("early_stopping", 6, 0.13)


@pytest.mark.slow
def test_a_resumed_run_goes_on_counting_and_knows_the_best(
    make_runner: Any, with_validation: Any, toy_config: dict[str, Any]
) -> None:
    changes = {"default_hooks": {"checkpoint": {"type": "CheckpointHook", "interval": 1}}}
    short = {**stopping(patience=3), "train_cfg": {"type": "ResumableEpochLoop", "max_epochs": 3}}
    make_runner(**short, **changes, **with_validation([0.5, 0.4, 0.4])).train()
    # epoch_3.pth was written before the third validation, which the resumed run holds again.
    last = Path(toy_config["work_dir"]) / "epoch_3.pth"
    resumed = make_runner(
        **stopping(patience=3), **changes, **with_validation([0.45]), load_from=str(last), resume=True
    )
    resumed.train()

    assert resumed.epoch == 4, "0.4, 0.4 and 0.45 are three validations below 0.5"


def test_a_metric_that_is_not_there_is_an_error(make_runner: Any, with_validation: Any) -> None:
    runner = make_runner(**stopping(patience=2), **with_validation([0.5]))
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == "ResumableEarlyStoppingHook")
    with pytest.raises(RuntimeError, match="toy/mAP"):
        hook.after_val_epoch(runner, {"other": 1.0})
