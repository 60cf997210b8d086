"""Makes an MLflow model of an exported detector: signature, input example, requirements, and the code that runs it."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from vision_research.config.command_rules import SERVED_SUFFIX
from vision_research.tracking.connection import prepare_import
from vision_research.work_dir import WorkDir

# Packages that the loaded model needs; OpenCV decodes the images that are sent to it.
REQUIREMENTS = ("torch", "numpy", "opencv-python-headless")


def served_model_files(artifact: Path, work_dir: WorkDir) -> list[Path]:
    """Write the files that MLflow needs to load and serve an exported model.

    MLflow runs the model on an example while it writes it, so that a model that cannot be served raises.

    Args:
        artifact: the exported model, with its manifest beside it.
        work_dir: folder of the run; the files stay there until they are delivered.

    Returns:
        The files, to be logged into the same folder as artifact and manifest; none where MLflow cannot serve the model.
    """
    manifest = artifact.with_name(f"{artifact.name}.json")
    if artifact.suffix != SERVED_SUFFIX or not artifact.is_file() or not _takes_images(manifest):
        return []
    return _write(artifact, manifest, work_dir.export_dir / "mlflow" / artifact.stem)


def _write(artifact: Path, manifest: Path, folder: Path) -> list[Path]:
    prepare_import()  # but no time limits: another thread may be delivering
    import mlflow.pyfunc

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
        made = Path(name, "model")
        with _quiet():
            mlflow.pyfunc.save_model(
                path=str(made),
                python_model=str(Path(__file__).with_name("served_model.py")),
                artifacts={"model": str(artifact), "manifest": str(manifest)},
                input_example=[base64.b64encode(_example_image()).decode("ascii")],
                pip_requirements=_requirements(),
            )
        _use_logged_files(made, {"model": artifact.name, "manifest": manifest.name})
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    return sorted(path for path in folder.iterdir() if path.is_file())


def _use_logged_files(made: Path, names: dict[str, str]) -> None:
    """Let the model find artifact and manifest beside its description, where they are logged, instead of copies."""
    import yaml

    path = made / "MLmodel"
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    entries = tree["flavors"]["python_function"]["artifacts"]
    for key, name in names.items():
        entries[key] = {"path": name, "uri": name}
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    shutil.rmtree(made / "artifacts")


def _takes_images(manifest: Path) -> bool:
    """Tell from a manifest whether a model takes images as they are, and not the preprocessed tensor."""
    return bool(json.loads(manifest.read_text(encoding="utf-8"))["input"].get("layout") == "HWC")


def _example_image() -> bytes:
    """Return a small synthetic PNG file, grey with a light rectangle, as the model's input example."""
    import cv2
    import numpy as np

    image = np.full((64, 96, 3), 96, np.uint8)
    image[16:48, 24:72] = 224
    return bytes(cv2.imencode(".png", image)[1])


def _requirements() -> list[str]:
    # "+cpu" names a build that another machine may not have.
    installed = {name: version(name.removesuffix("-headless")).partition("+")[0] for name in REQUIREMENTS}
    return [f"{name}=={number}" for name, number in installed.items()]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress MLflow's hints, which are for people who write models by hand; problems raise."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        # MLflow prints its coloured warnings to stderr, past Python's filters.
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
