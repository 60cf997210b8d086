"""The program of every rank: `python -m vision_research.worker WORK_DIR --task train [--resume FILE]`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from vision_research.config.errors import UserError
from vision_research.engine.ownership import remember_owner
from vision_research.processes.command import signal_when_parent_dies
from vision_research.work_dir import WorkDir


def main(arguments: list[str] | None = None) -> int:
    """Run one task in this process; a `UserError` is printed without a traceback."""
    parser = argparse.ArgumentParser(prog="python -m vision_research.worker", description=__doc__)
    parser.add_argument("work_dir", type=Path, help="folder of the run, with config.py")
    parser.add_argument("--task", choices=("train", "export"), required=True)
    parser.add_argument("--resume", type=Path, default=None, help="checkpoint to go on from (train)")
    options = parser.parse_args(arguments)
    work_dir = WorkDir(options.work_dir.resolve())
    # torchrun cannot end its ranks when it is killed itself.
    signal_when_parent_dies(signal.SIGKILL)
    remember_owner(work_dir)
    from vision_research.engine import jobs as tasks
    from vision_research.engine.outcome import error_message

    try:
        if options.task == "train":
            tasks.train(work_dir, options.resume)
        else:
            tasks.export(work_dir)
    except UserError as error:
        print(error_message(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
