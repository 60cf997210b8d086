"""We add, we never distort: MMDetection's own tools/train.py on our config.py gives the same losses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from workplace import Workplace

pytestmark = pytest.mark.slow


def losses(folder: Path) -> list[str]:
    lines = [line for file in sorted(folder.glob("*/vis_data/scalars.json")) for line in file.read_text().splitlines()]
    entries = [json.loads(line) for line in lines]
    return [f"{entry['loss']:.10f} {entry['lr']:.10f}" for entry in entries if "loss" in entry]


def test_stock_training_of_our_config_gives_the_same_losses(finished: Workplace, tmp_path: Path) -> None:
    ours = finished.folder / "runs/one"
    spec = find_spec("mmdet")
    assert spec is not None and spec.origin is not None
    stock = Path(spec.origin).parent / ".mim" / "tools" / "train.py"
    env = {**os.environ, **json.loads((ours / "launch.json").read_text())["env"]}
    command = [sys.executable, str(stock), str(ours / "config.py"), "--work-dir", str(tmp_path / "stock")]
    subprocess.run(command, cwd=finished.folder, env=env, check=True, capture_output=True, timeout=600)
    assert len(losses(ours)) == 32, "eight epochs of four iterations, every one logged"
    assert losses(ours) == losses(tmp_path / "stock")
