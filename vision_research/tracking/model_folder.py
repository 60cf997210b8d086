"""Makes an MLflow model of an exported detector: signature, input example, requirements, and the code that runs it.

Everything is made on disk and logged file by file as other results are, so that a server that is away loses nothing.
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

from vision_research.tracking.connection import quiet_import

# What runs an artifact where it is loaded; OpenCV decodes the images that are sent.
REQUIREMENTS = ("torch", "numpy", "opencv-python-headless")


def write_model_files(artifact: Path, manifest: Path, folder: Path, example: bytes) -> list[Path]:
    """Write what makes an MLflow model of a folder that holds the artifact and its manifest too.

    The model is run on the example while it is written: one that could not be served raises.

    Args:
        artifact: a TorchScript file.
        manifest: as it lies beside it.
        folder: where to write; replaced if it exists.
        example: the file of an image, as a caller would send it.

    Returns:
        The files, to be logged beside the artifact and its manifest.
    """
    quiet_import()  # and not the time limits: a delivery may be under way in another thread
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
        _point_beside(made, {"model": artifact.name, "manifest": manifest.name})
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    return sorted(path for path in folder.iterdir() if path.is_file())


def _point_beside(made: Path, names: dict[str, str]) -> None:
    """Let the model find its files beside its description, where they are logged anyway, in place of copies."""
    import yaml

    path = made / "MLmodel"
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    entries = tree["flavors"]["python_function"]["artifacts"]
    for key, name in names.items():
        entries[key] = {"path": name, "uri": name}
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    shutil.rmtree(made / "artifacts")


def _requirements() -> list[str]:
    # "+cpu" names a build that another machine need not have.
    installed = {name: version(name.removesuffix("-headless")).partition("+")[0] for name in REQUIREMENTS}
    return [f"{name}=={number}" for name, number in installed.items()]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out MLflow's hints: they are for those who write models by hand. What is wrong raises."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        # MLflow prints its colourful warnings past every filter.
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
