"""What `nox -s NAME` does. Sessions share one environment, .venv, but for three; it is yours to use too."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "types", "tests"]
# nox would give every session an environment of its own: five times 2 GB, of one and the same thing.
nox.options.default_venv_backend = "none"

ROOT = Path(__file__).parent
TORCH = "2.13.0"
PYTORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# The drop-in forks import as mmcv, mmengine and mmdet too; a team on a newer CUDA takes them.
FORKS = {"mmcv": "onedl-mmcv==2.3.6", "mmengine": "onedl-mmengine==0.10.12", "mmdet": "onedl-mmdetection==3.5.1"}
# What the fork of MMDetection imports beyond MMDetection's own imports, and what that needs in turn.
IMAUG = ("imaug==0.4.3", "imagecorruptions-imaug==1.1.5")
IMAUG_NEEDS = ("scikit-image==0.26.0", "imageio==2.38.1", "numba==0.68.1", "six")
# What some detectors and augmentations need, at the versions that the tests pass with. Without their own dependencies:
# albumentations asks for a second OpenCV. torchvision and timm, which needs all of it, are left out: the wheels of
# torchvision load beside a CUDA build of torch alone.
EXTRAS = ("albumentations==1.4.4", "mmpretrain==1.2.0")
# MMPretrain takes a name from transformers that is gone from 4.50 on.
EXTRAS_NEEDS = ("scikit-image==0.26.0", "einops", "mat4py", "modelindex", "transformers==4.49.0")
# One thread a process: two torchrun ranks with two threads each would fight for the cores of a small machine.
TEST_VARIABLES = {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "MPLBACKEND": "agg"}


@nox.session
def demo(session: nox.Session) -> None:
    """Install, then train, evaluate, record and export a small detector; `-- KEY=VALUE` adds overrides."""
    python = install(session)
    run(session, python, "-m", "vision_research.train", "experiment=demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run every test, the slow ones too, but the rare faults; `-- ARGS` goes to pytest."""
    run_tests(session, install(session))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and who imports whom; change nothing."""
    python = install(session)
    run(session, python, "-m", "ruff", "check", ".")
    run(session, python, "-m", "ruff", "format", "--check", ".")
    run(session, python.with_name("lint-imports"))


@nox.session
def types(session: nox.Session) -> None:
    """Check every signature with mypy, strict but for one flag that pyproject.toml explains."""
    python = install(session)
    run(session, python, "-m", "mypy")


@nox.session
def faults(session: nox.Session) -> None:
    """Inject every fault three times, and write the table of docs/reliability.md; `-- ARGS` goes to pytest."""
    selected = ("-m", "fault", "--attempts=3", "--fault-page=docs/reliability.md")
    run_tests(session, install(session), *selected)


@nox.session
def tests_onedl(session: nox.Session) -> None:
    """Run the same tests on the drop-in forks of MMCV, MMEngine and MMDetection, in .venv-onedl."""
    run_tests(session, install(session, ".venv-onedl", install_forks))


@nox.session
def tests_compiled(session: nox.Session) -> None:
    """Run the tests of operators and of equal losses with mmcv's compiled operators, in .venv-compiled."""
    selected = ("-m", "", "tests/unit/ops", "tests/integration/test_stock_parity.py")
    run_tests(session, install(session, ".venv-compiled", install_compiled), *selected)


@nox.session
def tests_extras(session: nox.Session) -> None:
    """Run the tests that need transformers, albumentations or mmpretrain, in .venv-extras."""
    run_tests(session, install(session, ".venv-extras", install_extras), "-m", "extras")


def run_tests(session: nox.Session, python: Path, *selected: str) -> None:
    """Run pytest; a test that hangs is stopped after a quarter of an hour, and named.

    Args:
        session: nox's.
        python: of the environment.
        selected: pytest's `-m` and what follows it; all tests but the rare faults without it.
    """
    words = ("-m", "pytest", *(selected or ("-m", "not rare")), "--timeout=900", *session.posargs)
    run(session, python, *words, variables=TEST_VARIABLES)


def run(session: nox.Session, program: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> None:
    """Run a program of an environment from the root of the checkout, with that environment's programs first in PATH."""
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    with session.chdir(ROOT):
        session.run(program, *arguments, env={**(variables or {}), "PATH": path}, external=True)


def install(
    session: nox.Session, folder: str = ".venv", packages: Callable[[nox.Session, Path], None] | None = None
) -> Path:
    """Install what is missing: torch, then the project and what it needs; nothing when nothing changed since.

    Args:
        session: nox's.
        folder: the environment.
        packages: installs the project and what it needs, given the environment's Python.

    Returns:
        The environment's Python.
    """
    venv = ROOT / folder
    python, stamp = venv / "bin" / "python", venv / "installed"
    sources = ("pyproject.toml", "constraints.txt", "noxfile.py", ".ci/mmcv_wheel.py")
    wanted = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in sources)).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    if not python.exists():
        # virtualenv comes with nox and, unlike venv, needs no further package on Debian and Ubuntu. A file `.venv` that
        # points at this environment (PEP 832) would stand where the folder .venv belongs.
        variables = {"VIRTUALENV_VENV_REDIRECT": "false"}
        run(session, Path(sys.executable), "-m", "virtualenv", "--quiet", str(venv), variables=variables)
    pip_install(session, python, "setuptools>=77,<81", *torch_arguments(python))
    (packages or install_project)(session, python)
    stamp.write_text(wanted)
    session.log(f"Installed. To work in this environment: . {venv.name}/bin/activate")
    return python


def pip_install(session: nox.Session, python: Path, *words: str) -> None:
    """Run `pip install` with these words in an environment."""
    run(session, python, "-m", "pip", "install", *words)


def install_project(session: nox.Session, python: Path) -> None:
    """Install the project with all that its tests need."""
    pip_install(session, python, "--constraint", "constraints.txt", "--editable", ".[dev]")


def install_compiled(session: nox.Session, python: Path) -> None:
    """Install the project, and mmcv with its compiled operators in the place of mmcv-lite."""
    install_project(session, python)
    run(session, python, "-m", "pip", "uninstall", "--yes", "mmcv-lite")
    run(session, python, ".ci/mmcv_wheel.py")


def install_extras(session: nox.Session, python: Path) -> None:
    """Install the project, and packages that it can do with or without."""
    install_project(session, python)
    needs = ("--constraint", "constraints.txt", f"torch=={TORCH}", "--editable", ".[dev,language]", *EXTRAS_NEEDS)
    pip_install(session, python, *needs)
    pip_install(session, python, "--no-deps", *EXTRAS)


def install_forks(session: nox.Session, python: Path) -> None:
    """Install the project on the forks.

    Without their own dependencies: the fork of MMDetection imports imaug, which asks for an older OpenCV, twice.
    All else is what the originals are tested with.
    """
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    others = [line for line in lines if "==" in line and line.partition("==")[0] not in {*FORKS, "mmcv-lite"}]
    run(session, python, ".ci/mmcv_wheel.py", "--requirement", FORKS["mmcv"])
    pip_install(session, python, *others)
    pip_install(session, python, "--constraint", "constraints.txt", *IMAUG_NEEDS)
    pip_install(session, python, "--no-deps", "--no-build-isolation", FORKS["mmengine"], FORKS["mmdet"], *IMAUG)
    pip_install(session, python, "--no-deps", "--editable", ".")


def torch_arguments(python: Path) -> list[str]:
    """Say to pip which build of torch: the CPU one, a tenth of the size, where Linux has no NVIDIA device.

    On Linux the default build carries CUDA. The CPU build is looked for as pip is set up here, then in PyTorch's public
    index; where neither has it, the default build does on a CPU too.
    """
    if sys.platform == "linux" and not (shutil.which("nvidia-smi") or Path("/dev/nvidiactl").exists()):
        pinned = f"torch=={TORCH}+cpu"
        for where in ([], ["--extra-index-url", PYTORCH_CPU_INDEX, "--retries", "1", "--timeout", "15"]):
            probe = [str(python), "-m", "pip", "install", "--dry-run", "--no-deps", "--quiet", pinned, *where]
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return [pinned, *where]
    return [f"torch=={TORCH}"]
