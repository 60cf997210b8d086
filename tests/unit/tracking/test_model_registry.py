"""A new version becomes the champion only if it is better, by the margin, on the same images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from vision_research.config.errors import EnvironmentProblem
from vision_research.tracking.registry import Candidate, decide, register
from vision_research.tracking.run import TrackingSettings, start_run
from vision_research.tracking.run_record import RunRecord
from vision_research.work_dir import WorkDir

CANDIDATE = Candidate("cells", "ab" * 32, "bbox_mAP", 0.50, "images-1", 0.01)


@pytest.mark.parametrize(
    ("champion", "wins", "reason"),
    [
        (None, True, "there was no champion"),
        ({"bbox_mAP": "0.48", "test_data": "images-1"}, True, "bbox_mAP 0.5000 against 0.4800, margin 0.01"),
        ({"bbox_mAP": "0.495", "test_data": "images-1"}, False, "bbox_mAP 0.5000 against 0.4950, margin 0.01"),
        ({"bbox_mAP": "0.1", "test_data": "images-2"}, False, "the champion was measured on other images"),
        ({"segm_mAP": "0.1", "test_data": "images-1"}, False, "the champion was measured without bbox_mAP"),
    ],
)
def test_the_margin_and_the_images_decide(champion: dict[str, str] | None, wins: bool, reason: str) -> None:
    is_better, said = decide(champion, CANDIDATE)
    assert is_better is wins and said.startswith(reason)


def test_versions_and_aliases_follow_the_values(settings: TrackingSettings, work_dir: WorkDir, tmp_path: Path) -> None:
    start_run(settings, work_dir, {}, {}).finish("FINISHED")
    record = RunRecord.read(work_dir.run_json)
    (tmp_path / "MLmodel").write_text("flavors: {}")
    client = MlflowClient(settings.uri)

    outcomes = []
    for digest, value in (("a", 0.50), ("b", 0.505), ("c", 0.52)):
        made = register(record, [tmp_path / "MLmodel"], replace(CANDIDATE, digest=digest * 64, value=value))
        aliases = client.get_registered_model("cells").aliases
        outcomes.append((made.version, made.is_champion, str(aliases["champion"]), str(aliases["challenger"])))

    assert outcomes == [("1", True, "1", "1"), ("2", False, "1", "2"), ("3", True, "3", "3")]
    version = client.get_model_version("cells", "3")
    assert version.run_id == record.run_id and version.tags["bbox_mAP"] == "0.52"
    assert version.source.endswith("registered/cccccccccccc")


def test_a_server_that_is_away_is_said(settings: TrackingSettings, work_dir: WorkDir) -> None:
    start_run(settings, work_dir, {}, {}).finish("FINISHED")
    record = replace(RunRecord.read(work_dir.run_json), uri="http://127.0.0.1:1")
    with pytest.raises(EnvironmentProblem, match="nothing answers there"):
        register(record, [], CANDIDATE)
