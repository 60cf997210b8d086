"""An embedded data set is made once, as a whole, and whatever else is in its folder is left alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vision_research.config.errors import ConfigError
from vision_research.datasets.digits import maker, rendering
from vision_research.datasets.digits.images import DIGITS
from vision_research.datasets.digits.maker import make_once
from vision_research.registry import make_embedded

COUNTS = {"train": 3, "val": 1, "test": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedded("digits", tmp_path_factory.mktemp("data") / "digits", **COUNTS)


def test_what_is_there_is_not_made_again(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maker, "_build_and_publish", lambda *_: pytest.fail("made again"))

    assert make_embedded("digits", made) == made
    assert make_embedded("digits", made, **COUNTS) == made


def test_an_empty_folder_is_filled_and_follows_the_umask(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    before = os.umask(0o027)
    try:
        root = make_embedded("digits", tmp_path / "digits", train=1, val=1, test=1)
    finally:
        os.umask(before)

    assert (root / "digits.json").is_file()
    assert root.stat().st_mode & 0o777 == 0o750


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(rendering, "encode_jpeg", fail)

    with pytest.raises(KeyboardInterrupt):
        make_embedded("digits", tmp_path / "digits", **COUNTS)

    assert [path.name for path in tmp_path.iterdir()] == [".digits.lock"]


def make_and_die(folder: Path) -> None:
    def die(*_: object) -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""

    rendering.encode_jpeg = die
    make_embedded("digits", folder, **COUNTS)


def test_after_a_kill_the_next_command_makes_it_and_clears_away(
    tmp_path: Path, made: Path, digest: Callable[[Path], dict[str, str]]
) -> None:
    child = multiprocessing.get_context("fork").Process(target=make_and_die, args=(tmp_path / "digits",))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert not (tmp_path / "digits").exists()

    root = make_embedded("digits", tmp_path / "digits", **COUNTS)

    assert digest(root) == digest(made)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".digits.lock", "digits"]


@pytest.mark.slow
def test_several_commands_may_ask_at_once(tmp_path: Path, made: Path, digest: Callable[[Path], dict[str, str]]) -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        results = [pool.apply_async(make_embedded, ("digits", tmp_path / "digits"), COUNTS) for _ in range(4)]
        roots = {result.get(timeout=60) for result in results}

    assert roots == {tmp_path / "digits"}
    assert digest(tmp_path / "digits") == digest(made)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()

    with pytest.raises(ConfigError, match="is there, but no digits data set made by this program") as error:
        make_embedded("digits", tmp_path)

    assert f"Type another folder (data.root={tmp_path}-v1)" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_digits_of_another_generator_are_refused(made: Path) -> None:
    later = replace(DIGITS, version=99)

    with pytest.raises(ConfigError, match=r"holds other digits \(.*\"generator_version\": 1.*\(generator_version 99\)"):
        make_once(later, made, {})


def test_digits_of_another_number_are_refused(made: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds other digits .*than this program makes now .*\"val\": 5"):
        make_embedded("digits", made, val=5)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        ConfigError, match=r"data.root=.*cannot be made there \(Not a directory\).*Type data.root=<folder>"
    ):
        make_embedded("digits", tmp_path / "file" / "data" / "digits")


def test_files_of_the_user_are_kept(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(ConfigError, match="no digits_video data set made by this program"):
        make_embedded("digits_video", tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"
