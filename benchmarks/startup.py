"""How soon the command answers: `--cfg job` and a misspelt override, over a bare import of Hydra.

    python benchmarks/startup.py [--runs 7] [--busy 2]

`--busy N` keeps N processes computing meanwhile, as on a machine that trains. Held to 1.5 seconds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from statistics import median

from record import record

LIMIT_S = 1.5
COMMANDS = {
    "import hydra": ["-c", "import hydra"],
    "--cfg job": ["-m", "vision_research.train", "--cfg", "job"],
    "misspelt option": ["-m", "vision_research.train", "model=rtmdet_tinny"],
    "misspelt key": ["-m", "vision_research.train", "data.bath_size=4"],
}


def main() -> int:
    """Measure, print a line per command, and return 1 when a median is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--busy", type=int, default=2)
    options = parser.parse_args()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)]
    try:
        medians = {name: median(_seconds(words) for _ in range(options.runs)) for name, words in COMMANDS.items()}
    finally:
        for process in busy:
            process.kill()
    bare = medians["import hydra"]
    record("startup", **{name: seconds for name, seconds in medians.items() if name != "import hydra"})
    for name, seconds in medians.items():
        print(f"{name:<16} {seconds:.2f} s, {seconds / bare:.1f} times a bare import of Hydra")
    return int(max(medians.values()) > LIMIT_S)


def _seconds(words: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], capture_output=True, check=False)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
