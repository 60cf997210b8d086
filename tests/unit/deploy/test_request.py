"""The request crosses a process boundary unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_research.deploy.request import ExportRequest


@pytest.mark.parametrize(
    "request_",
    [
        ExportRequest(Path("c.py"), Path("b.pth"), Path("m.ts")),
        ExportRequest(
            Path("c.py"),
            Path("b.pth"),
            Path("m.ts"),
            formats=("torchscript", "onnx"),
            shape=(96, 160),
            bounds=((64, 64), (96, 160)),
            batch=None,
            precision="int8",
            preprocess=False,
            score_thr=0.25,
            thresholds=(("cat", 0.5), ("dog", 0.25)),
            verify=False,
            num_images=3,
            run_id="run",
            trust_checkpoint=True,
        ),
    ],
)
def test_a_request_survives_json(request_: ExportRequest) -> None:
    assert ExportRequest.from_json(request_.to_json()) == request_
