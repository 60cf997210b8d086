"""`python -m vision_research` and the console command: they list the commands and run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vision_research.__main__ import COMMANDS, main, overview


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vision_research", *words], capture_output=True, text=True, check=False
    )


def test_without_a_name_the_commands_are_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["vision-research"])

    main()

    printed = capsys.readouterr().out
    assert printed == overview() + "\n"
    assert "  train      Train a detector: `python -m vision_research.train" in printed
    assert all(f"\n  {name}" in printed for name in COMMANDS)


def test_every_command_is_there() -> None:
    folder = Path(__file__).parents[2] / "vision_research"
    modules = {path.stem for path in folder.glob("*.py") if "__main__" in path.read_text()}

    # The program of the ranks is typed by nobody.
    assert modules - {"worker", "torchrun", "__main__"} == set(COMMANDS)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            "trian",
            "vision-research trian: there is no such command. Did you mean train, track? Type one of train, test",
        ),
        ("model=faster_rcnn", "vision-research model=faster_rcnn: there is no such command. Type one of train"),
    ],
)
def test_another_name_is_answered_with_the_nearest(word: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["vision-research", word])

    with pytest.raises(SystemExit, match=said.replace("?", r"\?").replace(".", r"\.")):
        main()


def test_a_command_gets_its_words() -> None:
    done = run("doctor", "tracking.url=x")

    assert done.returncode == 2
    assert "tracking.url: type one of tracking.uri=..." in done.stderr


def test_the_version_is_printed() -> None:
    assert run("--version").stdout == "vision-research 0.1.0\n"
