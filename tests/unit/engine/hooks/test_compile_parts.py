from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vision_research.engine.outcome import read_events


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()


def compiling(**settings: Any) -> dict[str, Any]:
    return {"custom_hooks": [{"type": "CompilePartsHook", "backend": "eager", **settings}]}


@pytest.mark.slow
def test_backbone_and_neck_are_compiled_and_names_in_checkpoints_stay(
    make_runner: Any, toy_config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    names = list(make_runner().model.state_dict())
    runner = make_runner(**compiling(), log_level="INFO")
    runner.train()

    assert runner.model.backbone._compiled_call_impl is not None
    assert runner.model.neck._compiled_call_impl is not None
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
    saved = torch.load(Path(toy_config["work_dir"]) / "epoch_3.pth", weights_only=True)["state_dict"]
    assert list(saved) == names
    assert "torch.compile made 2 graphs with 0 graph breaks" in capsys.readouterr().out


@pytest.mark.slow
def test_the_losses_are_those_of_the_uncompiled_detector(make_runner: Any, seen_class: Any) -> None:
    plain, compiled = seen_class(), seen_class()
    make_runner(hooks=[plain]).train()
    make_runner(hooks=[compiled], **compiling()).train()

    assert compiled.losses == pytest.approx(plain.losses, rel=1e-6)


def test_a_failing_compiler_is_reported_and_the_training_goes_on(
    make_runner: Any, toy_config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    @torch._dynamo.register_backend(name="broken_on_purpose")
    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no such instruction")

    runner = make_runner(**compiling(backend="broken_on_purpose"))
    runner.train()

    assert runner.iter == 18
    events = read_events(Path(toy_config["work_dir"]))
    assert [(event["event"], event["part"]) for event in events] == [
        ("compile_failed", "backbone"),
        ("compile_failed", "neck"),
    ]
    output = capsys.readouterr().out
    assert "torch.compile of backbone failed; it runs uncompiled" in output
    assert "no such instruction" in output


def test_an_error_of_the_detector_itself_is_not_swallowed(make_runner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> Any:
        raise ValueError("a bug in the detector")

    runner = make_runner(**compiling())
    monkeypatch.setattr(type(runner.model.backbone), "forward", fail)
    with pytest.raises(ValueError, match="a bug in the detector"):
        runner.train()


def test_a_detector_without_such_parts_is_refused(make_runner: Any) -> None:
    runner = make_runner(**compiling(parts=["trunk"]))
    assert isinstance(runner.model, nn.Module)
    with pytest.raises(ValueError, match="ToyDetector has none of the parts to compile: trunk"):
        runner.train()
