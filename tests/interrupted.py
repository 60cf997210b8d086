"""A training of two ranks whose processes are killed, and what has to hold afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable

import psutil
from mlflow import MlflowClient
from mlflow.entities import Run
from workplace import Workplace

from vision_research.processes.descendants import PLACE, processes_with
from vision_research.work_dir import WorkDir

Wait = Callable[..., None]
# Two iterations an epoch on two ranks; long enough to be killed.
LONG = ("hw=2cpu", "schedule.max_epochs=60", "schedule.val_interval=60", "schedule.checkpoint_interval=1")


class Training:
    """A training of two ranks in a folder, whose processes are killed."""

    def __init__(self, workplace: Workplace, name: str, *words: str, export: str = "none") -> None:
        self._workplace = workplace
        self.work_dir = WorkDir(workplace.folder / "runs" / name)
        self.command = workplace.start(f"work_dir=runs/{name}", f"export={export}", *words)

    def processes(self) -> list[psutil.Process]:
        return processes_with(PLACE, str(self.work_dir.root))

    def torchrun(self) -> psutil.Process:
        return next(one for one in psutil.Process(self.command.pid).children() if one in self.processes())

    def rank(self, number: int) -> psutil.Process:
        return next(one for one in self.processes() if one.environ().get("RANK") == str(number) and _is_rank(one))

    def losses(self) -> list[int]:
        files = self.work_dir.root.glob("*/vis_data/scalars.json")
        lines = [line for file in sorted(files) for line in file.read_text().splitlines()]
        return [entry["iter"] for entry in map(json.loads, filter(_is_whole, lines)) if "loss" in entry]

    def has_run(self, iterations: int) -> bool:
        return len(self.losses()) >= iterations and len(list(self.work_dir.root.glob("epoch_*.pth"))) > 0

    def end(self) -> str:
        printed, _ = self.command.communicate(timeout=180)
        return printed

    def run(self) -> Run:
        return self.client().get_run(self._run_id())

    def recorded(self) -> list[int]:
        return [point.step for point in self.client().get_metric_history(self._run_id(), "train/loss")]

    def resume(self, epochs: int) -> None:
        length = (f"schedule.max_epochs={epochs}", f"schedule.val_interval={epochs}")
        self._workplace.run(f"resume={self.work_dir.root}", *length, tiny=False)

    def client(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self._workplace.folder}/mlflow.db")

    def _run_id(self) -> str:
        return str(json.loads(self.work_dir.run_json.read_text())["run_id"])


def _is_rank(process: psutil.Process) -> bool:
    return "vision_research.worker" in process.cmdline() and "vision_research.torchrun" not in process.cmdline()


def _is_whole(line: str) -> bool:
    return line.startswith("{") and line.endswith("}")


def check_resumed(training: Training) -> None:
    """Go on with the run to the end of an epoch, and compare: no loss is missing, in a finished run."""
    checkpoints = [path for path in training.work_dir.root.glob("*.pth") if path.name.startswith(("epoch_", "iter_"))]
    assert checkpoints
    epochs = max(training.losses()) // 2 + 1
    training.resume(epochs)
    assert training.run().info.status == "FINISHED"
    assert sorted(set(training.recorded())) == list(range(1, 2 * epochs + 1)), "every iteration"
    assert json.loads(training.work_dir.outcome.read_text())["status"] == "FINISHED"
