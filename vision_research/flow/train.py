"""The steps of the `train` command: prepare, record, launch, export, print a summary."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace

from vision_research.config.compose import Composition
from vision_research.config.errors import UserError
from vision_research.config.schema import TrainConfig
from vision_research.flow.copy_in_s3 import mirrored
from vision_research.flow.export import export_best
from vision_research.flow.prepare import PreparedRun, place, prepare, write_folder
from vision_research.flow.record import recording
from vision_research.launch.outcome import Outcome, read_outcome
from vision_research.launch.process import run_plan, signals_exit
from vision_research.launch.run_folder import owned
from vision_research.work_dir import OWNER

SHOWN = ("coco/bbox_mAP", "coco/bbox_mAP_50", "coco/bbox_mAP_75", "coco/segm_mAP")


class RunFailed(UserError):
    """The ranks or the export failed; the message is the first cause."""


def train(composition: Composition[TrainConfig]) -> float | None:
    """Run one training, from its composition to its exported model.

    Returns:
        The best value of `schedule.monitor`, which a sweeper maximizes; None without validation.

    Raises:
        UserError: the configuration, the data or the machine is wrong.
        RunFailed: the ranks or the export failed.
        SystemExit: the run was stopped; the exit code is 128 plus the signal.
    """
    placed = place(composition)
    if placed.hardware.node_rank > 0:
        # The first machine alone writes the folder, records and exports.
        return _conclude(_run_ranks(prepare(placed)))
    with signals_exit(), owned(placed.work_dir) as owner:
        return _conclude(_train(prepare(placed), owner))


def _train(run: PreparedRun, owner: int) -> Outcome:
    with mirrored(run) as completed, recording(run) as recorder:
        write_folder(run)
        recorder.add_inputs()
        for earlier in (run.work_dir.outcome, run.work_dir.rank_failure, run.work_dir.export_outcome):
            earlier.unlink(missing_ok=True)
        outcome = _run_ranks(run, owner)
        if outcome.status == "FINISHED" and run.config.export.formats:
            outcome = export_best(run, outcome)
        outcome = completed(outcome)
        recorder.add_outcome(outcome)
    _print_summary(run, outcome, recorder.how_to_open)
    return outcome


def _run_ranks(run: PreparedRun, owner: int | None = None) -> Outcome:
    """Run the ranks to their end; `owner` is the number of this command in the folder, where it owns the folder."""
    plan = run.plan if owner is None else replace(run.plan, env={**run.plan.env, OWNER: str(owner)})
    return read_outcome(run.work_dir, run_plan(plan, run.work_dir.stop_request))


def _conclude(outcome: Outcome) -> float | None:
    """Return the best value of a finished run; raise for a failed one, exit for a stopped one."""
    if outcome.status == "KILLED":
        sys.exit(128 + (outcome.signal or 15))
    if outcome.status == "FAILED":
        raise RunFailed(outcome.cause)
    return outcome.best_value


def _print_summary(run: PreparedRun, outcome: Outcome, how_to_open: str | None) -> None:
    """Print status, scores and files of a run."""
    lines = [("status", outcome.status + (f" ({outcome.cause})" if outcome.cause else ""))]
    lines += [(name, f"{value:.4f}") for name, value in outcome.metrics.items() if name in SHOWN]
    if outcome.best:
        best = f"{outcome.best_value:.4f} at epoch {outcome.best['epoch']}, iteration {outcome.best['iteration']}"
        lines.append((f"best {run.config.schedule.monitor}", best))
    lines.append(("work_dir", str(run.work_dir.root)))
    if run.work_dir.s3_address is not None:
        lines.append(("copy in S3", run.work_dir.s3_address))
    if outcome.model is not None:
        lines.append(("artifact", str(outcome.model)))
    if how_to_open:
        lines.append(("open the run", how_to_open))
    if outcome.status != "FINISHED" and outcome.last:
        lines.append(("go on", f"python -m vision_research.train {shlex.quote(f'resume={run.work_dir.root}')}"))
    width = max(len(name) for name, _ in lines)
    print("\n" + "\n".join(f"{name:<{width}}  {value}" for name, value in lines), flush=True)
