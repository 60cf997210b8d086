"""The LaunchPlan: one torchrun command, decided without starting anything."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vision_research.config.schema import HwConfig
from vision_research.launch.devices import Hardware, num_cpus


@dataclass(frozen=True)
class LaunchPlan:
    """A command and its environment.

    Attributes:
        command: the words of the command.
        env: variables that are added to the environment of the parent.
        world_size: ranks over all machines.
    """

    command: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    world_size: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return the plan as it is written to `launch.json`."""
        return asdict(self)


def training_plan(hw: HwConfig, hardware: Hardware, work_dir: Path, resume: Path | None) -> LaunchPlan:
    """Plan the ranks of a training.

    Args:
        hw: what was asked for.
        hardware: what this machine gives.
        work_dir: folder of the run.
        resume: checkpoint to go on from, or None.
    """
    worker = ["-m", "vision_research.worker", str(work_dir), "--task", "train"]
    if resume is not None:
        worker += ["--resume", str(resume)]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *_rendezvous(hw, hardware, work_dir)]
    torchrun += [f"--nproc-per-node={hardware.num_procs}", f"--max-restarts={hw.max_restarts}"]
    return LaunchPlan((*torchrun, *worker), _environment(hardware), hardware.world_size)


def export_plan(work_dir: Path) -> LaunchPlan:
    """Plan the export: one process of its own, so that nothing of it can harm the run that is recorded.

    It computes on the CPU, on all cores.
    """
    alone = Hardware(num_procs=1, num_nodes=1, node_rank=0, on_gpu=False, num_threads=num_cpus())
    command = (sys.executable, "-m", "vision_research.worker", str(work_dir), "--task", "export")
    return LaunchPlan(command, _environment(alone))


def _rendezvous(hw: HwConfig, hardware: Hardware, work_dir: Path) -> list[str]:
    if hardware.num_nodes == 1:
        # A free port, found by the store itself. The address is given since a host name may not resolve.
        return ["--standalone", "--local-addr=127.0.0.1"]
    return [
        f"--nnodes={hardware.num_nodes}",
        f"--node-rank={hardware.node_rank}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={hw.rdzv_endpoint}",
        f"--rdzv-id={work_dir.name}",
        # The first machine checks its run, and opens the record, before its ranks wait for the others.
        f"--rdzv-conf=is_host={int(hardware.node_rank == 0)},join_timeout={hw.timeout_s},read_timeout={hw.timeout_s}",
    ]


def _environment(hardware: Hardware) -> dict[str, str]:
    """Return variables for the ranks; what the person has set in the shell stays."""
    threads = str(hardware.num_threads)
    wanted = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    if not hardware.on_gpu:
        # Threads that wait by spinning take the cores from those they wait for, as soon as there are loader processes
        # or other ranks beside them: seen on two busy cores, an iteration took 7 to 10 times as long. Threads that
        # sleep at once (OMP_WAIT_POLICY=PASSIVE) wake too late: 6.8 images/s on two free cores. Spinning for some
        # microseconds gives 10.4 there.
        wanted["GOMP_SPINCOUNT"] = "10000"
    return {name: value for name, value in wanted.items() if name not in os.environ}
