"""The entries of all formats."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from vision_research.config.schema import ExportFormat, ExportPrecision
from vision_research.deploy import formats
from vision_research.deploy.formats.registry import FORMATS, SUFFIXES, format_of

FOLDER = Path(formats.__file__).parent


def test_every_format_of_the_schema_has_an_entry_and_a_suffix_of_its_own() -> None:
    assert set(FORMATS) == {member.value for member in ExportFormat}
    assert len(SUFFIXES) == len(FORMATS)
    assert format_of(Path("a/model.xml")).name == "openvino"


def test_every_precision_of_the_schema_is_one_of_a_format() -> None:
    written = {precision for entry in FORMATS.values() for precision in entry.precisions}

    assert written == {member.value for member in ExportPrecision}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_a_writer_and_a_runner_in_its_folder(name: str) -> None:
    for module, definition in (("writer", "def write(job: Job, path: Path)"), ("runner", "class Runner")):
        spec = importlib.util.find_spec(f"vision_research.deploy.formats.{name}.{module}")

        assert spec is not None and spec.origin is not None
        assert definition in Path(spec.origin).read_text(encoding="utf-8")


def test_every_folder_of_a_format_has_an_entry_in_the_registry() -> None:
    assert {path.parent.name for path in FOLDER.glob("*/writer.py")} == set(FORMATS)
