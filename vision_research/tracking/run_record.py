"""`run.json`: the MLflow run in which a folder is recorded. Makes no request to a store."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from vision_research.work_dir import write_json


@dataclass(frozen=True)
class RunRecord:
    """The MLflow run of one folder.

    Attributes:
        run_id: MLflow's id of the run.
        uri: resolved tracking address.
        experiment_id: MLflow's id of the experiment.
        experiment: its name.
        run_name: name of the run.
        timeout_s: time limit of one request, in seconds.
        resumes: how many times the run was resumed.
        host: machine of the command that owns the run.
        pid: process id of that command.
    """

    run_id: str
    uri: str
    experiment_id: str
    experiment: str
    run_name: str
    timeout_s: float
    resumes: int
    host: str
    pid: int

    @classmethod
    def read(cls, path: Path) -> RunRecord:
        """Read `run.json`; `ValueError` if the file is not a run record."""
        try:
            return cls(**json.loads(path.read_text()))
        except TypeError as error:
            raise ValueError(f"{path} is no run record: {error}") from error

    def write(self, path: Path) -> None:
        """Write `run.json`, atomically."""
        write_json(path, asdict(self))
