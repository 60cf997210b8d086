from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.registry import DATASETS, init_default_scope

from vision_research.engine.hooks.pipeline_stage import switch_pipelines
from vision_research.engine.outcome import read_events

STRONG = {"type": "ToyDataset", "pipeline": [{"type": "ToyLoad", "stage": "strong"}]}
WEAK = [{"type": "ToyLoad", "stage": "weak"}]
WRAPPED = {
    "plain": STRONG,
    "repeat": {"type": "RepeatDataset", "times": 2, "dataset": STRONG},
    "concat": {"type": "ConcatDataset", "datasets": [STRONG, {"type": "RepeatDataset", "times": 2, "dataset": STRONG}]},
    "mix": {
        "type": "mmdet.MultiImageMixDataset",
        "dataset": STRONG,
        "pipeline": [{"type": "mmdet.PackDetInputs"}],
    },
}


def stage_hook(switch_at: int, by_epoch: bool = True) -> dict[str, Any]:
    return {"type": "PipelineStageHook", "switch_at": switch_at, "by_epoch": by_epoch, "pipeline": WEAK}


def stages_of(seen: Any) -> str:
    """Return s or w for each iteration."""
    return "".join("/".join(sorted(stage[0] for stage in stages)) for stages in seen.stages)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "leaves", "images"), [("plain", 1, 12), ("repeat", 1, 24), ("concat", 2, 36), ("mix", 1, 12)]
)
def test_every_data_set_under_every_wrapper_is_switched(kind: str, leaves: int, images: int) -> None:
    init_default_scope("mmdet")
    dataset = DATASETS.build(WRAPPED[kind])

    changes = switch_pipelines(dataset, WEAK)

    assert [dataset[index]["data_samples"].stage for index in range(len(dataset))] == ["weak"] * images
    assert len([change for change in changes if change == "ToyDataset: ToyLoad -> ToyLoad"]) == leaves
    assert ("MultiImageMixDataset: PackDetInputs -> nothing" in changes) == (kind == "mix")


@pytest.mark.slow
def test_a_switch_that_changes_nothing_is_an_error() -> None:
    init_default_scope("mmdet")
    with pytest.raises(ValueError, match="changed nothing: ToyDataset holds no data set with other transforms"):
        switch_pipelines(DATASETS.build(STRONG), [{"type": "ToyLoad", "stage": "strong"}])


def test_a_data_set_that_cannot_be_switched_is_named() -> None:
    class Plain:
        pass

    with pytest.raises(TypeError, match="Plain has no `pipeline`"):
        switch_pipelines(Plain(), WEAK)


@pytest.mark.slow
@pytest.mark.parametrize("persistent", [True, False])
def test_an_epoch_based_run_switches_before_the_epoch_even_in_persistent_workers(
    make_runner: Any, toy_config: dict[str, Any], seen_class: Any, persistent: bool
) -> None:
    loader = {**toy_config["train_dataloader"], "num_workers": 1, "persistent_workers": persistent}
    seen = seen_class()
    runner = make_runner(hooks=[seen], train_dataloader=loader, custom_hooks=[stage_hook(2)])
    runner.train()
    runner.train_loop.dataloader._iterator = None

    assert stages_of(seen) == "sssssssssssswwwwww"
    event = read_events(Path(toy_config["work_dir"]))
    assert [(entry["event"], entry["epoch"]) for entry in event] == [("pipeline_stage", 3)]
    assert event[0]["changes"] == ["ToyDataset: ToyLoad -> ToyLoad"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_an_iteration_based_run_switches_at_the_iteration_and_keeps_the_data_order(
    make_runner: Any, toy_config: dict[str, Any], seen_class: Any, workers: int
) -> None:
    sampler = {"type": "InfiniteSampler", "shuffle": True}
    loader = {**toy_config["train_dataloader"], "sampler": sampler, "num_workers": workers}
    changes = {
        "train_cfg": {"type": "ResumableIterLoop", "max_iters": 9},
        "train_dataloader": {**loader, "persistent_workers": workers > 0},
        "default_hooks": {"checkpoint": {"type": "CheckpointHook", "by_epoch": False, "interval": 100}},
    }
    seen, plain = seen_class(), seen_class()
    for hook, custom in ((plain, []), (seen, [stage_hook(4, by_epoch=False)])):
        runner = make_runner(hooks=[hook], **changes, custom_hooks=custom)
        runner.train()
        runner.train_loop.dataloader_iterator = runner.train_loop.dataloader._iterator = None

    assert stages_of(seen) == "sssswwwww"
    assert seen.batches == plain.batches
    assert read_events(Path(toy_config["work_dir"]))[-1]["iter"] == 5


@pytest.mark.slow
@pytest.mark.parametrize("by_epoch", [True, False])
def test_a_run_resumed_after_the_switch_starts_with_the_second_stage(
    make_runner: Any, toy_config: dict[str, Any], seen_class: Any, by_epoch: bool
) -> None:
    changes = {"custom_hooks": [stage_hook(1 if by_epoch else 4, by_epoch)]}
    checkpoint = {"type": "CheckpointHook", "interval": 2 if by_epoch else 6, "by_epoch": by_epoch}
    changes |= {"default_hooks": {"checkpoint": checkpoint}}
    if not by_epoch:
        loader = {**toy_config["train_dataloader"], "sampler": {"type": "InfiniteSampler"}}
        changes |= {"train_dataloader": loader, "train_cfg": {"type": "ResumableIterLoop", "max_iters": 9}}
    make_runner(**changes).train()
    last = Path(toy_config["work_dir"]) / ("epoch_2.pth" if by_epoch else "iter_6.pth")
    seen = seen_class()
    make_runner(hooks=[seen], **changes, load_from=str(last), resume=True).train()

    assert stages_of(seen) == ("wwwwww" if by_epoch else "www")
