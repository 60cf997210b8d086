"""The command and environment of the processes of a run."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from vision_research.config.schema import HwConfig
from vision_research.launch.devices import Hardware, num_cpus
from vision_research.processes.descendants import PLACE
from vision_research.work_dir import WorkDir


@dataclass(frozen=True)
class LaunchPlan:
    """A command and its environment.

    Attributes:
        command: the words of the command.
        env: variables added to the environment of the parent.
        world_size: ranks over all machines.
    """

    command: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    world_size: int = 1


def training_plan(hw: HwConfig, hardware: Hardware, work_dir: Path, resume: Path | None) -> LaunchPlan:
    """Plan the ranks of a training.

    Args:
        hw: the `hw` group.
        hardware: ranks and devices.
        work_dir: folder of the run.
        resume: checkpoint to resume, or None.
    """
    worker = ["-m", "vision_research.worker", str(work_dir), "--task", "train"]
    if resume is not None:
        worker += ["--resume", str(resume)]
    torchrun = [sys.executable, "-m", "vision_research.torchrun", str(WorkDir(work_dir).rank_failure)]
    torchrun += _rendezvous(hw, hardware, work_dir)
    torchrun += [f"--nproc-per-node={hardware.num_procs}", f"--max-restarts={hw.max_restarts}"]
    environment = {**_environment(hardware), PLACE: place_of(work_dir, hardware.node_rank)}
    # The ranks of gloo look for each other in the agent's store, and torch keeps it over a restart: new ranks find the
    # ports of dead ones, and fail. With this they make a store of their own.
    environment["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    return LaunchPlan((*torchrun, *worker), environment, hardware.world_size)


def place_of(work_dir: Path, node_rank: int = 0) -> str:
    """Return the mark of all processes on this machine that work in a folder.

    Args:
        work_dir: folder of a run.
        node_rank: number of this machine.
    """
    return f"{work_dir}#{node_rank}" if node_rank else str(work_dir)


def export_plan(work_dir: Path) -> LaunchPlan:
    """Plan the export: a separate process on all CPU cores, so that its failure cannot affect the recorded run."""
    alone = Hardware(num_procs=1, num_nodes=1, node_rank=0, on_gpu=False, num_threads=num_cpus())
    command = (sys.executable, "-m", "vision_research.worker", str(work_dir), "--task", "export")
    return LaunchPlan(command, {**_environment(alone), PLACE: place_of(work_dir)})


def _rendezvous(hw: HwConfig, hardware: Hardware, work_dir: Path) -> list[str]:
    if hardware.num_nodes == 1:
        # The store chooses a free port. The address is given since a host name may not resolve.
        return ["--standalone", "--local-addr=127.0.0.1"]
    return [
        f"--nnodes={hardware.num_nodes}",
        f"--node-rank={hardware.node_rank}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={hw.rdzv_endpoint}",
        f"--rdzv-id={work_dir.name}",
        # The timeouts are long since the first machine runs its checks before its ranks join.
        f"--rdzv-conf=is_host={int(hardware.node_rank == 0)},join_timeout={hw.timeout_s},read_timeout={hw.timeout_s}",
    ]


def _environment(hardware: Hardware) -> dict[str, str]:
    """Return variables for the ranks, without those that are set in the shell."""
    threads = str(hardware.num_threads)
    wanted = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    if not hardware.on_gpu:
        # Spinning threads take cores from loader processes and other ranks: on two busy cores an iteration took 7 to 10
        # times as long. Threads that sleep at once (OMP_WAIT_POLICY=PASSIVE) wake too late: 6.8 images/s on two free
        # cores, against 10.4 with some microseconds of spinning.
        wanted["GOMP_SPINCOUNT"] = "10000"
    return {name: value for name, value in wanted.items() if name not in os.environ}
