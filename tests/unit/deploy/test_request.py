"""The request crosses a process boundary unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_research.deploy.request import ExportRequest


@pytest.mark.parametrize(
    "request_",
    [
        ExportRequest(Path("c.py"), Path("b.pth"), Path("m.ts")),
        ExportRequest(Path("c.py"), Path("b.pth"), Path("m.ts"), (96, 160), 0.25, False, 3, "run", True),
    ],
)
def test_a_request_survives_json(request_: ExportRequest) -> None:
    assert ExportRequest.from_json(request_.to_json()) == request_
