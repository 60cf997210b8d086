"""The plan of a launch: one torchrun command, decided without starting anything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vision_research.config.errors import ConfigError
from vision_research.config.schema import Device, HwConfig, Precision
from vision_research.launch import devices
from vision_research.launch.devices import Hardware, resolve_hardware
from vision_research.launch.plan import export_plan, training_plan

RUN = Path("/runs/x")


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs, on a machine that has none."""
    monkeypatch.setattr(devices, "num_gpus", lambda: 2)
    monkeypatch.setattr(devices, "num_cpus", lambda: 16)


def test_one_machine_finds_a_free_port_by_itself() -> None:
    plan = training_plan(HwConfig(), Hardware(2, 1, 0, False, 1), RUN, None)
    assert plan.command[:4] == (sys.executable, "-m", "vision_research.torchrun", "/runs/x/rank_failure.json")
    assert "--standalone" in plan.command and "--nproc-per-node=2" in plan.command
    assert plan.command[-5:] == ("-m", "vision_research.worker", "/runs/x", "--task", "train")
    assert plan.world_size == 2


def test_two_machines_meet_at_the_first() -> None:
    hw = HwConfig(num_nodes=2, rdzv_endpoint="first:29400", max_restarts=3)
    for rank, is_host in ((0, 1), (1, 0)):
        words = training_plan(hw, Hardware(8, 2, rank, True, 2), RUN, None).command
        assert {"--nnodes=2", f"--node-rank={rank}", "--rdzv-endpoint=first:29400", "--max-restarts=3"} <= set(words)
        assert f"--rdzv-conf=is_host={is_host},join_timeout=1800,read_timeout=1800" in words


def test_a_resumed_run_names_its_checkpoint() -> None:
    plan = training_plan(HwConfig(), Hardware(1, 1, 0, False, 1), RUN, RUN / "epoch_3.pth")
    assert plan.command[-2:] == ("--resume", "/runs/x/epoch_3.pth")


def test_threads_are_shared_and_wait_quietly_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    env = training_plan(HwConfig(), Hardware(2, 1, 0, False, 3), RUN, None).env
    threads = {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3", "GOMP_SPINCOUNT": "10000"}
    assert env == {**threads, "VISION_RESEARCH_PLACE": "/runs/x", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert "OMP_NUM_THREADS" not in training_plan(HwConfig(), Hardware(2, 1, 0, False, 3), RUN, None).env


def test_the_export_is_a_process_of_its_own() -> None:
    assert export_plan(RUN).command[1:] == ("-m", "vision_research.worker", "/runs/x", "--task", "export")


@pytest.mark.usefixtures("gpus")
def test_auto_takes_what_the_machine_has() -> None:
    assert resolve_hardware(HwConfig()) == Hardware(2, 1, 0, True, 8)
    assert resolve_hardware(HwConfig(device=Device.cpu)) == Hardware(1, 1, 0, False, 16)


@pytest.mark.usefixtures("gpus")
def test_more_gpus_than_there_are_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"hw.num_procs=4: this machine has 2 GPU\(s\).*Type hw=2gpu"):
        resolve_hardware(HwConfig(device=Device.cuda, num_procs=4))


def test_a_gpu_on_a_machine_without_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "num_gpus", lambda: 0)
    with pytest.raises(ConfigError, match="this machine has 0 GPU.*hw=cpu"):
        resolve_hardware(HwConfig(device=Device.cuda, num_procs=1))
    with pytest.raises(ConfigError, match="hw.precision=bf16"):
        resolve_hardware(HwConfig(precision=Precision.fp16))


def test_the_number_of_a_machine_comes_from_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NODEID", "1")
    assert resolve_hardware(HwConfig(device=Device.cpu, num_nodes=2)).node_rank == 1
    with pytest.raises(ConfigError, match="hw.node_rank=1: is 0 to 0"):
        resolve_hardware(HwConfig(device=Device.cpu, num_nodes=1))
