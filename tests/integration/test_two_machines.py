"""Two machines with one shared folder, played by two commands on this one."""

from __future__ import annotations

import json
import socket

import pytest
from workplace import Workplace

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_two_machines_train_one_run(workplace: Workplace) -> None:
    words = ("work_dir=runs/two", "hw.num_nodes=2", f"hw.rdzv_endpoint=127.0.0.1:{free_port()}", "export=none")
    second = workplace.start(*words, "hw.node_rank=1", "schedule.max_epochs=1")
    printed = workplace.run(*words, "hw.node_rank=0", "schedule.max_epochs=1")
    also_printed, _ = second.communicate(timeout=120)
    assert second.returncode == 0, also_printed
    folder = workplace.folder / "runs/two"
    assert json.loads((folder / "launch.json").read_text())["world_size"] == 2
    outcome = json.loads((folder / "outcome.json").read_text())
    assert outcome["status"] == "FINISHED"
    assert outcome["iter"] == 2, "sixteen images, batches of four, two ranks"
    assert "status" in printed
    # TINY validates: results went over the process group, and no folder was left where the command was typed.
    assert "coco/bbox_mAP" in outcome["metrics"]
    assert not (workplace.folder / ".dist_test").exists()
