"""The C++ consumer of docs/consume: compiled against the installed torch, it gives the boxes that Python gives."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils import cpp_extension

from vision_research.deploy.export import export_detector
from vision_research.deploy.request import ExportRequest

SOURCE = Path(__file__).parents[3] / "docs" / "consume" / "consume.cpp"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++"),
]


def read(path: Path, trust: bool) -> dict[str, Any]:
    del trust
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


@pytest.fixture(scope="module")
def consume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("consume") / "consume"
    libraries = cpp_extension.library_paths()
    subprocess.run(
        [
            "g++",
            "-std=c++20",
            "-O1",
            f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
            str(SOURCE),
            "-o",
            str(program),
            *(f"-I{folder}" for folder in cpp_extension.include_paths()),
            *(f"-L{folder}" for folder in libraries),
            *(f"-Wl,-rpath,{folder}" for folder in libraries),
            "-Wl,--no-as-needed",
            "-ltorch",
            "-ltorch_cpu",
            "-lc10",
        ],
        check=True,
    )
    return program


@pytest.mark.parametrize("family", ["rtmdet", "faster_rcnn"])
def test_cpp_gives_the_boxes_of_python(
    family: str,
    consume: Path,
    trained: Callable[..., tuple[Path, Path]],
    picture: Callable[..., NDArray[np.uint8]],
    tmp_path: Path,
) -> None:
    config, checkpoint = trained(family)
    export_detector(ExportRequest(config, checkpoint, tmp_path / "model.ts", verify=False), read)
    image = picture(5, 90, 130)
    image.tofile(tmp_path / "image.raw")

    printed = subprocess.run(
        [str(consume), str(tmp_path / "model.ts"), str(tmp_path / "image.raw"), "90", "130"],
        check=True,
        capture_output=True,
        text=True,
        env={"OMP_NUM_THREADS": "1"},
    ).stdout

    rows = np.array([[float(word) for word in line.split()] for line in printed.splitlines()])
    boxes, scores, labels = (
        output.numpy() for output in torch.jit.load(tmp_path / "model.ts")(torch.from_numpy(image))
    )
    assert len(rows) == len(scores) > 20
    assert np.array_equal(rows[:, 0], labels)
    assert np.allclose(rows[:, 1], scores, atol=1e-5) and np.allclose(rows[:, 2:], boxes, atol=1e-3)


def test_cpp_says_what_is_wrong(consume: Path, tmp_path: Path) -> None:
    (tmp_path / "model.ts").write_bytes(b"no model")

    assert "usage: consume model.ts" in subprocess.run([str(consume)], capture_output=True, text=True).stderr
    failed = subprocess.run([str(consume), str(tmp_path / "model.ts"), "x", "1", "1"], capture_output=True, text=True)
    assert failed.returncode == 1 and failed.stderr
