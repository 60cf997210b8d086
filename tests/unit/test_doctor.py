from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DOCTOR = [sys.executable, "-m", "vision_research.doctor"]


def test_it_exits_with_1_and_prints_the_remedy_when_the_store_is_away(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DOCTOR, "tracking.uri=http://127.0.0.1:9", f"work_dir={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stderr
    assert "Start the server: mlflow server --host 127.0.0.1 --port 9" in done.stdout
    rows = [line.split()[:2] for line in done.stdout.splitlines()]
    assert ["ok", "python"] in rows
    assert ["error", "mlflow"] in rows


def test_it_names_the_words_that_it_takes() -> None:
    done = subprocess.run([*DOCTOR, "workdir=x"], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "workdir: type tracking.uri=URI, work_dir=DIR or data.root=DIR" in done.stderr
