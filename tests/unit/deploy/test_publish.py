"""An exported model that is to lie in S3 comes there with all that belongs to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mmengine.fileio as fileio
import pytest

from vision_research.config.schema import ExportConfig, ExportFormat
from vision_research.deploy.export_group import output_path
from vision_research.deploy.publish import publish_models
from vision_research.storage.s3.errors import S3GaveUpError
from vision_research.storage.s3.settings import S3Settings, set_default_settings


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


def test_a_server_that_is_away_is_named(models: list[Path], s3_settings: S3Settings) -> None:
    set_default_settings(replace(s3_settings, endpoint_url="http://127.0.0.1:9", give_up_after_s=0.1))
    with pytest.raises(
        S3GaveUpError, match=r"http://127.0.0.1:9 did not deliver s3:PutObject on s3://bucket/models/m.ts"
    ):
        publish_models("s3://bucket/models/m.ts", models)


def test_an_output_in_s3_is_written_here_first(tmp_path: Path) -> None:
    export = ExportConfig(formats=[ExportFormat.torchscript], output="s3://bucket/models/m.ts")
    assert output_path(export, tmp_path) == tmp_path / "m.ts"
