"""An exported model that is to lie in S3 comes there with all that belongs to it."""

from __future__ import annotations

from pathlib import Path

import mmengine.fileio as fileio
import pytest

from vision_research.config.schema import ExportConfig, ExportFormat
from vision_research.flow.export_request import output_path
from vision_research.flow.export_to_s3 import publish_models
from vision_research.storage.s3.errors import S3Error


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    """A TorchScript file and one of OpenVINO, as an export leaves them."""
    for name in ("m.ts", "m.ts.json", "m.xml", "m.bin", "m.xml.json"):
        (tmp_path / name).write_bytes(name.encode())
    return [tmp_path / "m.ts", tmp_path / "m.xml"]


def test_models_lie_beside_each_other_with_their_manifests(models: list[Path], bucket: str) -> None:
    assert publish_models(f"{bucket}/models/m.ts", models) == [f"{bucket}/models/m.ts", f"{bucket}/models/m.xml"]

    there = sorted(fileio.list_dir_or_file(f"{bucket}/models"))
    assert there == ["m.bin", "m.ts", "m.ts.json", "m.xml", "m.xml.json"]
    assert all(fileio.get(f"{bucket}/models/{name}") == name.encode() for name in there)


def test_a_file_of_this_machine_needs_nothing(models: list[Path]) -> None:
    assert publish_models(None, models) == publish_models("/models/m.ts", models) == []


def test_a_bucket_that_refuses_is_named(
    models: list[Path], s3_settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(S3Error):
        publish_models("s3://bucket/models/m.ts", models)


def test_an_output_in_s3_is_written_here_first(tmp_path: Path) -> None:
    export = ExportConfig(formats=[ExportFormat.torchscript], output="s3://bucket/models/m.ts")
    assert output_path(export, tmp_path) == tmp_path / "m.ts"
