"""Makes an MLflow model of an exported detector: signature, input example, requirements, and the code that runs it.

The model is written to disk, and its files are delivered through the spool like other artifacts. So nothing is lost if
the server does not answer; `mlflow.log_model` would wait for the server, and store the artifact twice.
"""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from vision_research.tracking.connection import prepare_import

# Packages that the loaded model needs; OpenCV decodes the images that are sent to it.
REQUIREMENTS = ("torch", "numpy", "opencv-python-headless")


def write_model_files(artifact: Path, manifest: Path, folder: Path, example: bytes) -> list[Path]:
    """Write the files that make an MLflow model of a folder with an artifact and its manifest.

    MLflow runs the model on the example while it writes it, so that a model that cannot be served raises.

    Args:
        artifact: a TorchScript file.
        manifest: its manifest.
        folder: target; replaced if it exists.
        example: the bytes of an image file, as a caller would send them.

    Returns:
        The files, to be logged beside the artifact and its manifest.
    """
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
                input_example=[base64.b64encode(example).decode("ascii")],
                pip_requirements=[*_requirements()],
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
