"""Say what is installed, what is wrong with it, and what to type: `python -m vision_research.doctor`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vision_research.engine.environment import checks


def main() -> int:
    """Print one line a check, then what to type about each problem; return 1 where `train` would refuse."""
    parser = argparse.ArgumentParser(prog="python -m vision_research.doctor", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="tracking.uri=URI, work_dir=DIR, data.root=DIR")
    words = dict(word.partition("=")[::2] for word in parser.parse_args().words)
    unknown = words.keys() - {"tracking.uri", "work_dir", "data.root"}
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: type tracking.uri=URI, work_dir=DIR or data.root=DIR")
    data_root = Path(words["data.root"]) if "data.root" in words else None
    found = checks(Path(words.get("work_dir", ".")), data_root, words.get("tracking.uri"))
    table = Table("", "check", "found", box=None)
    for check in found:
        table.add_row("ok" if check.ok else check.severity.value, check.name, check.found if check.ok else "see below")
    console = Console(highlight=False, markup=False)
    console.print(table)
    for problem in (check for check in found if not check.ok):
        console.print(f"\n{problem}", soft_wrap=True)
    return int(any(check.refuses for check in found))


if __name__ == "__main__":
    sys.exit(main())
