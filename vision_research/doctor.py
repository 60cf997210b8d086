"""Check the machine and the installed packages, and say what to type: `python -m vision_research.doctor`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vision_research.checks.environment import checks, s3_checks
from vision_research.config.addresses import is_s3
from vision_research.storage.s3.settings import S3Settings

PLACES = ("data.root", "work_dir", "storage.checkpoints")
SETTINGS = ("endpoint_url", "region", "profile")
WORDS = ("tracking.uri", *PLACES, "storage", *(f"storage.{name}" for name in SETTINGS))


def main() -> int:
    """Print one line per check, then the remedy of each problem; return 1 where `train` would refuse to start."""
    parser = argparse.ArgumentParser(prog="python -m vision_research.doctor", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="as train takes them: " + ", ".join(WORDS))
    words = dict(word.partition("=")[::2] for word in parser.parse_args().words)
    unknown = words.keys() - set(WORDS)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: type one of {', '.join(f'{word}=...' for word in WORDS)}")
    local = {key: Path(words[key]) for key in PLACES if key in words and not is_s3(words[key])}
    found = checks(local.get("work_dir", Path()), local.get("data.root"), words.get("tracking.uri"))
    settings = S3Settings(**{name: words[key] for name in SETTINGS if (key := f"storage.{name}") in words})
    found += s3_checks({key: words[key] for key in PLACES if key in words}, settings)
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
