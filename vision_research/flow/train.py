"""The steps of the `train` command: prepare, record, launch, export, print a summary."""

from __future__ import annotations

import logging
import sys

from vision_research.config.compose import Composition
from vision_research.config.errors import UserError
from vision_research.config.schema import TrainConfig
from vision_research.flow.copy_in_s3 import mirrored
from vision_research.flow.export import export_best
from vision_research.flow.prepare import PreparedRun, prepare
from vision_research.flow.record import recording
from vision_research.flow.summary import print_summary
from vision_research.flow.write import write_folder
from vision_research.launch.outcome import Outcome, read_outcome
from vision_research.launch.process import run_plan
from vision_research.launch.run_folder import owned

logger = logging.getLogger(__name__)


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
    run = prepare(composition)
    if run.hardware.node_rank > 0:
        return follow(run)
    with owned(run.work_dir), mirrored(run) as copy, recording(run) as recorder:
        write_folder(run)
        recorder.add_inputs()
        outcome = copy.complete(_launch(run))
        recorder.add_outcome(outcome)
    print_summary(run, outcome, recorder)
    return conclude(outcome)


def follow(run: PreparedRun) -> float | None:
    """Run the ranks of a machine other than the first, which alone writes the folder, records and exports."""
    return conclude(read_outcome(run.work_dir, run_plan(run.plan, run.work_dir.stop_request)))


def conclude(outcome: Outcome) -> float | None:
    """Return the best value of a finished run; raise for a failed one, exit for a stopped one."""
    if outcome.status == "KILLED":
        sys.exit(128 + (outcome.signal or 15))
    if outcome.status == "FAILED":
        raise RunFailed(outcome.cause)
    return outcome.best_value


def _launch(run: PreparedRun) -> Outcome:
    run.work_dir.outcome.unlink(missing_ok=True)
    outcome = read_outcome(run.work_dir, run_plan(run.plan, run.work_dir.stop_request))
    if outcome.status == "FINISHED" and run.config.export.formats:
        outcome = export_best(run, outcome)
    return outcome
