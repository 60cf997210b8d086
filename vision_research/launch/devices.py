"""Determines the ranks and devices of a run from the `hw` group and this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass

from vision_research.config.errors import ConfigError
from vision_research.config.schema import Device, HwConfig, Precision


@dataclass(frozen=True)
class Hardware:
    """The ranks of a run.

    Attributes:
        num_procs: ranks on each machine.
        num_nodes: number of machines.
        node_rank: number of this machine, from 0 on.
        on_gpu: whether ranks compute on GPUs.
        num_threads: CPU threads per rank.
    """

    num_procs: int
    num_nodes: int
    node_rank: int
    on_gpu: bool
    num_threads: int

    @property
    def world_size(self) -> int:
        """Number of ranks on all machines."""
        return self.num_procs * self.num_nodes


def num_gpus() -> int:
    """Count the GPUs that torch can use, without creating a CUDA context."""
    import torch

    return torch.cuda.device_count()


def num_cpus() -> int:
    """Count the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resolve_hardware(hw: HwConfig) -> Hardware:
    """Determine the ranks and devices of a run; `ConfigError` if this machine lacks them, or they the precision."""
    gpus = 0 if hw.device is Device.cpu else num_gpus()
    on_gpu = hw.device is Device.cuda or (hw.device is Device.auto and gpus > 0)
    num_procs = hw.num_procs or (max(gpus, 1) if on_gpu else 1)
    if on_gpu and num_procs > gpus:
        raise ConfigError(
            f"hw.num_procs={num_procs}: this machine has {gpus} GPU(s) that torch can use. Type "
            f"{f'hw={gpus}gpu' if gpus in (1, 2, 4, 8) else 'hw=cpu, or hw=2cpu for two ranks'}; "
            "python -m vision_research.doctor tells what is seen"
        )
    if not on_gpu and hw.precision is Precision.fp16:
        raise ConfigError("hw.precision=fp16 on the CPU: there is no fp16 arithmetic. Type hw.precision=bf16")
    node_rank = hw.node_rank if hw.node_rank is not None else int(os.environ.get("SLURM_NODEID", 0))
    if not 0 <= node_rank < hw.num_nodes:
        raise ConfigError(f"hw.node_rank={node_rank}: is 0 to {hw.num_nodes - 1} with hw.num_nodes={hw.num_nodes}")
    threads = hw.num_threads or max(1, num_cpus() // num_procs)
    return Hardware(num_procs, hw.num_nodes, node_rank, on_gpu, threads)
