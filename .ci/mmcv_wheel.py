"""Installs mmcv with its compiled ops into the Python that runs this, and builds them once per machine.

    python .ci/mmcv_wheel.py

mmcv's authors publish no wheel for today's torch, and pip caches one that it builds under mmcv's version alone, so that
the next torch gets ops built for the last one. Here the wheel is kept in the user's cache folder under everything that
its binary depends on; a second environment, or a second checkout, installs it in seconds.

Knows nothing of the project, and uses the standard library and torch alone: it runs before anything else is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# setuptools 82 no longer has pkg_resources, which mmcv's setup.py imports. The rest: ninja compiles in parallel,
# psutil lets setup.py count cores, packaging is what the fork onedl-mmcv imports.
BUILD_TOOLS = ("setuptools<81", "wheel", "ninja", "psutil", "packaging")
PROGRESS_INTERVAL_S = 20.0
# Run in a fresh interpreter, past mmcv's Python side, whose dependencies may not be installed yet.
LOAD_OPS = """
import importlib.machinery, importlib.util, pathlib, torch
folder = pathlib.Path(importlib.util.find_spec("mmcv").origin).parent
path = str(next(folder.glob("_ext.*")))
loader = importlib.machinery.ExtensionFileLoader("_ext", path)
importlib.util.module_from_spec(importlib.util.spec_from_loader("_ext", loader))
"""


@dataclass(frozen=True)
class Target:
    """What a compiled wheel depends on besides its own version.

    Attributes:
        torch: torch's full version, such as `2.13.0+cpu`: its C++ interface changes with every release.
        accelerator: `cpu`, or the CUDA version and the GPU generations compiled for, such as `cu13.0-sm9.0`.
        python: interpreter tag, such as `cp311`.
        platform: such as `linux-x86_64`.
    """

    torch: str
    accelerator: str
    python: str
    platform: str

    def folder(self, cache: Path, requirement: str) -> Path:
        """The folder in the cache that holds the wheel of `requirement` for this target, and no other."""
        parts = (requirement.replace("==", "-"), f"torch-{self.torch}", self.accelerator, self.python, self.platform)
        return cache / "_".join(re.sub(r"[^\w.+-]", "-", part) for part in parts)


def main() -> None:
    """Install the wheel, from the cache or newly built, and prove that its ops load."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requirement", default="mmcv==2.1.0", help="NAME==VERSION (default: %(default)s)")
    parser.add_argument("--cpu", action="store_true", help="leave the GPU ops out, also where there is a GPU")
    parser.add_argument("--rebuild", action="store_true", help="build anew, also when the cache holds the wheel")
    options = parser.parse_args()
    target = find_target(cpu_only=options.cpu)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vision_research" / "wheels"
    folder = target.folder(cache, options.requirement)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        # Only whole wheels are ever moved into the folder, so one that is there is good.
        wheel = None if options.rebuild else next(folder.glob("*.whl"), None)
        if wheel is None:
            wheel = build(options.requirement, target, folder)
        install(wheel)


def find_target(cpu_only: bool) -> Target:
    """Read from the installed torch, and from the machine, what to compile for.

    Raises:
        SystemExit: torch is missing, or there is a GPU but no toolkit to compile for it.
    """
    warnings.filterwarnings("ignore", message="Failed to initialize NumPy")  # it comes with the other requirements
    try:
        import torch
        from torch.utils.cpp_extension import CUDA_HOME
    except ImportError as error:
        sys.exit(f"torch does not import ({error}). Install it first:\n    python -m pip install torch==2.13.0")
    has_toolkit = CUDA_HOME is not None and (Path(CUDA_HOME) / "bin" / "nvcc").exists()
    accelerator = "cpu"
    if torch.version.cuda and not cpu_only:
        if torch.cuda.is_available() and not has_toolkit:
            sys.exit(
                f"There is a GPU and torch {torch.__version__}, but no CUDA toolkit to compile mmcv's GPU ops with.\n"
                f"Install CUDA toolkit {torch.version.cuda} (nvcc), set CUDA_HOME to its folder and run this again;\n"
                "or, to train on the CPU only:\n    python .ci/mmcv_wheel.py --cpu"
            )
        if has_toolkit:
            found = {torch.cuda.get_device_capability(index) for index in range(torch.cuda.device_count())}
            seen = "-".join(f"{major}.{minor}" for major, minor in sorted(found)) or "all"
            accelerator = f"cu{torch.version.cuda}-sm{os.environ.get('TORCH_CUDA_ARCH_LIST') or seen}"
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return Target(torch.__version__, accelerator, python, sysconfig.get_platform())


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; a second process waits here instead of building the same wheel beside the first."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another process is building this wheel; waiting for it to finish ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(requirement: str, target: Target, folder: Path) -> Path:
    """Compile the wheel beside its place in the cache and move it there when it is whole.

    Returns:
        The wheel's path in `folder`.

    Raises:
        SystemExit: no compiler, or the build failed; the message names the log.
    """
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        sys.exit("mmcv's ops are C++, and there is no compiler. On Debian or Ubuntu:\n    apt-get install g++")
    duration = "6 to 11 minutes on two cores" if target.accelerator == "cpu" else "with its GPU kernels up to an hour"
    say(
        f"Building the compiled ops of {requirement} for torch {target.torch} ({target.accelerator}), {duration}.\n"
        f"This happens once per machine; the wheel is kept in\n    {folder}"
    )
    for stale in folder.glob("build-*"):  # of a build that was killed: we hold the lock, so nobody works in there
        shutil.rmtree(stale)
    log = folder / "build.log"
    scratch = Path(tempfile.mkdtemp(prefix="build-", dir=folder))
    try:
        variables = build_variables(scratch, target)
        # No cache: pip's own knows nothing of torch. No isolation: setup.py must import the torch that it builds for.
        pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
        code = run_with_progress([*pip, "--wheel-dir", str(scratch / "out"), requirement], variables, scratch, log)
        if code != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
            sys.exit(f"{tail}\n\nThe build of {requirement} failed; the whole log is {log}")
        wheel = next((scratch / "out").glob("*.whl"))
        return wheel.replace(folder / wheel.name)
    finally:
        # Compilers that are just being stopped may still remove files of their own; the next build takes what is left.
        shutil.rmtree(scratch, ignore_errors=True)


def build_variables(scratch: Path, target: Target) -> dict[str, str]:
    """Put the build tools into a folder of their own, so that the environment is left as it was.

    Returns:
        The environment variables of the build.
    """
    tools = scratch / "tools"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(tools), *BUILD_TOOLS]
    subprocess.run(pip, check=True)
    (scratch / "tmp").mkdir()
    variables = {**os.environ, "MMCV_WITH_OPS": "1", "TMPDIR": str(scratch / "tmp"), "PYTHONPATH": str(tools)}
    variables["PATH"] = f"{tools / 'bin'}{os.pathsep}{os.environ['PATH']}"
    # mmcv's own default is at least four compilers at once, each with most of a gigabyte.
    variables.setdefault("MAX_JOBS", str(os.cpu_count() or 2))
    if target.accelerator == "cpu":
        variables |= {"FORCE_CUDA": "0", "CUDA_VISIBLE_DEVICES": ""}  # else setup.py compiles for any GPU that it sees
    else:
        variables["FORCE_CUDA"] = "1"
    return variables


def run_with_progress(command: list[str], variables: dict[str, str], scratch: Path, log: Path) -> int:
    """Run `command` with its output in `log`, and say every few seconds how far the compiler is.

    Returns:
        The exit code.
    """
    start = time.monotonic()
    with log.open("w") as output:
        # A session of its own: compilers are grandchildren, and a Ctrl-C has to stop all of them.
        process = subprocess.Popen(
            command, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(PROGRESS_INTERVAL_S)
                minutes, seconds = divmod(round(time.monotonic() - start), 60)
                done, total = count_objects(scratch)
                say(f"  {minutes:2d} min {seconds:02d} s: " + (f"{done} of {total} files" if total else "preparing"))
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise


def count_objects(scratch: Path) -> tuple[int, int]:
    """Count the object files that are there, and all that ninja was told to make."""
    plans = [path.read_text() for path in scratch.glob("tmp/**/build.ninja")]
    total = sum(len(re.findall(r"^build \S+\.o:", plan, flags=re.MULTILINE)) for plan in plans)
    return sum(1 for _ in scratch.glob("tmp/**/*.o")), total


def install(wheel: Path) -> None:
    """Install `wheel` alone, without its dependencies, and prove that the ops load with this torch.

    Raises:
        SystemExit: they do not.
    """
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", str(wheel)]
    subprocess.run(pip, check=True)
    proof = subprocess.run([sys.executable, "-c", LOAD_OPS], capture_output=True, text=True, check=False)
    if proof.returncode != 0:
        sys.exit(
            f"{proof.stderr.strip()}\n\n{wheel} is installed, but its ops do not load. Build it anew:\n"
            "    python .ci/mmcv_wheel.py --rebuild"
        )
    say(f"Installed, and its ops load: {wheel}")


def say(text: str) -> None:
    """Print at once, also through a pipe: ten minutes of a full buffer look like a hang."""
    print(text, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a stop from outside cleans up too
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped; nothing was installed.")
