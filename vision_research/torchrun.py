"""torchrun, which also writes down which rank failed first: `python -m vision_research.torchrun FILE TORCHRUN_WORDS`.

torchrun alone knows the signal that ended a rank. The other ranks see a closed connection, and torchrun only prints it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vision_research.work_dir import write_json


def main(arguments: list[str]) -> None:
    """Run torchrun.

    Args:
        arguments: the file for `rank` and `exitcode` (negative: a signal) of the first failure, and torchrun's words.

    Raises:
        ChildFailedError: a rank failed.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    file, *words = arguments
    try:
        torchrun(words)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        write_json(Path(file), {"rank": rank, "exitcode": failure.exitcode})
        raise


if __name__ == "__main__":
    main(sys.argv[1:])
