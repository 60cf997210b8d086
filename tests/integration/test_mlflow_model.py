"""The artifact is an MLflow model: loaded, served, registered."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pytest
import requests
import torch
from mlflow import MlflowClient
from workplace import Workplace

pytestmark = pytest.mark.slow


def expected(finished: Workplace, image: np.ndarray) -> list[list[float]]:
    module = torch.jit.load(finished.folder / "runs/one/export/model.ts")
    boxes: list[list[float]] = module(torch.from_numpy(image))[0].tolist()
    return boxes


def test_it_loads_and_serves_and_challenges_the_champion(finished: Workplace) -> None:
    uri = f"sqlite:///{finished.folder}/mlflow.db"
    run_id = json.loads((finished.folder / "runs/one/run.json").read_text())["run_id"]
    words = ("run=runs/one", "artifact=runs/one/export/model.ts", "tracking.register_as=digits", "data.limit_val=8")
    first = finished.run(*words, module="test", tiny=False)
    assert "digits version 1 is the champion: there was no champion" in first
    second = finished.run(*words, module="test", tiny=False)
    assert "digits version 2 is a challenger: bbox_mAP" in second
    aliases = MlflowClient(uri).get_registered_model("digits").aliases
    assert {alias: str(version) for alias, version in aliases.items()} == {"champion": "1", "challenger": "2"}

    path = sorted((finished.folder / "data/digits/images").rglob("*.*g"))[0]
    image = cv2.imread(str(path))
    mlflow.set_tracking_uri(uri)
    for address in (f"runs:/{run_id}/model", "models:/digits@champion"):
        model = mlflow.pyfunc.load_model(address)
        answers = model.predict([image, str(path), base64.b64encode(path.read_bytes()).decode()])
        assert len(answers) == 3
        assert all(answer["boxes"] == expected(finished, image) for answer in answers)
    assert model.metadata.signature is not None and model.metadata.saved_input_example_info is not None
    answer = _served(uri, "models:/digits@champion", finished.folder, path, image)
    np.testing.assert_allclose(answer[0]["boxes"], expected(finished, image), atol=1e-4)
    np.testing.assert_allclose(answer[1]["boxes"], expected(finished, image), atol=1e-4)


def _served(uri: str, address: str, folder: Path, path: Path, image: np.ndarray) -> list[dict[str, list[list[float]]]]:
    """Serve a model, and ask it with the base64 text of an image and with its values."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", address, "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    env = {**os.environ, "MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = (folder / "serve.log").open("wb")
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with suppress(requests.RequestException):
                if requests.get(f"http://127.0.0.1:{port}/ping", timeout=2).ok:
                    break
            time.sleep(0.3)
        request = {"inputs": [base64.b64encode(path.read_bytes()).decode(), image.tolist()]}
        answer = requests.post(f"http://127.0.0.1:{port}/invocations", json=request, timeout=60)
        assert answer.ok, (answer.text, (folder / "serve.log").read_text()[-2000:])
        predictions: list[dict[str, list[list[float]]]] = answer.json()["predictions"]
        return predictions
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        log.close()
