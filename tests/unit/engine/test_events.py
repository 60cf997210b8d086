from __future__ import annotations

from pathlib import Path

import pytest

from vision_research.engine.outcome import event_tags, read_events, record_event


def test_events_are_read_in_the_order_they_happened(tmp_path: Path) -> None:
    assert read_events(tmp_path) == []
    record_event(tmp_path, "pipeline_stage", epoch=9)
    record_event(tmp_path, "early_stopping", best=0.5)

    first, second = read_events(tmp_path)
    assert (first["event"], first["epoch"]) == ("pipeline_stage", 9)
    assert (second["event"], second["best"]) == ("early_stopping", 0.5)
    assert first["time_s"] <= second["time_s"]


def test_only_rank_0_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vision_research.engine.outcome.is_main_process", lambda: False)
    record_event(tmp_path, "pipeline_stage", epoch=9)
    assert read_events(tmp_path) == []


def test_of_events_of_one_name_the_last_is_the_tag(tmp_path: Path) -> None:
    assert event_tags(tmp_path) == {}
    record_event(tmp_path, "pipeline_stage", epoch=9, changes=["a -> b"])
    record_event(tmp_path, "early_stopping", epoch=4, iter=40)
    record_event(tmp_path, "early_stopping", epoch=5, iter=50)
    assert event_tags(tmp_path) == {"pipeline_stage": "epoch 9", "early_stopping": "epoch 5, iter 50"}
