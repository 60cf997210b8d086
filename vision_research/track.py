"""`python -m vision_research.track sync`: deliver to MLflow what earlier commands could not deliver."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from vision_research.tracking.sync import deliver_runs, find_runs, is_running, needs_delivery, record_path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code: 0 if everything is delivered, else 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    arguments = _parser().parse_args(argv)
    folders = [folder.absolute() for folder in arguments.work_dir]
    strangers = [folder for folder in folders if record_path(folder) is None]
    if strangers or not (folders or arguments.root.is_dir()):
        return _no_run(strangers or [arguments.root])
    chosen = folders or [folder for folder in find_runs(arguments.root.absolute()) if needs_delivery(folder)]
    open_runs = [folder for folder in chosen if is_running(folder)]
    for folder in open_runs:
        print(f"{folder}: its command is running and delivers by itself")
    outcomes = deliver_runs(folder for folder in chosen if folder not in open_runs)
    waiting = 0
    for folder, outcome in outcomes:
        if outcome.complete:
            print(f"{folder}: complete ({outcome.delivered} records delivered)")
        else:
            waiting += 1
            print(f"{folder}: {outcome.delivered} records delivered, {outcome.pending} wait: {outcome.problem}")
    if waiting:
        print(f"{waiting} of {len(chosen)} runs still wait. Nothing is lost; type the same again when MLflow is back")
    elif not chosen:
        print("MLflow has everything")
    return 1 if waiting else 0


def _no_run(folders: Sequence[Path]) -> int:
    names = ", ".join(str(folder) for folder in folders)
    print(
        f"{names}: no tracked run is there (no run.json). Type the work_dir of a run, or the folder that holds them: "
        "python -m vision_research.track sync --root runs",
        file=sys.stderr,
    )
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vision_research.track", description="Runs recorded in MLflow.")
    verbs = parser.add_subparsers(required=True, metavar="sync")
    sync = verbs.add_parser("sync", help="deliver to MLflow what earlier commands could not")
    sync.add_argument("work_dir", nargs="*", type=Path, help="folders of runs or sweeps; none: all below --root")
    sync.add_argument("--root", type=Path, default=Path("runs"), help="where to look for runs (default: runs)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
