from __future__ import annotations

import os
import re
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from mmengine.hooks import Hook

HIDE_CURSOR, SHOW_CURSOR, ERASE_LINE = "\x1b[?25l", "\x1b[?25h", "\x1b[2K"
BAR = {"custom_hooks": [{"type": "ThroughputHook"}, {"type": "ProgressHook"}], "log_level": "INFO"}


class Talk(Hook):
    """Writes in every way that a training can write."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.fail_at = fail_at

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if runner.iter == 3:
            runner.logger.warning("logged: [not markup] and a line that is longer than the terminal " + "x" * 100)
            print("printed")
            print("to stderr", file=sys.stderr)
        if runner.iter == self.fail_at:
            raise RuntimeError("boom")


class Terminal:
    """A real terminal in the place of stdout and stderr; `output` is what was written, once the block has ended."""

    output = ""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def __enter__(self) -> Terminal:
        self._master, slave = os.openpty()
        self._chunks: list[bytes] = []
        self._reader = threading.Thread(target=self._drain)
        self._reader.start()
        self._stream = os.fdopen(slave, "w", encoding="utf-8")
        self._patch.setenv("TERM", "xterm")
        self._patch.setenv("COLUMNS", "120")
        self._patch.setattr(sys, "stdout", self._stream)
        self._patch.setattr(sys, "stderr", self._stream)
        return self

    def __exit__(self, *error: object) -> None:
        self._patch.undo()
        self._stream.close()
        self._reader.join()
        os.close(self._master)
        self.output = b"".join(self._chunks).decode()

    def _drain(self) -> None:
        # Linux says EIO when the other end of a terminal has been closed.
        with suppress(OSError):
            while chunk := os.read(self._master, 65536):
                self._chunks.append(chunk)


def log_file(toy_config: dict[str, Any]) -> str:
    (path,) = Path(toy_config["work_dir"]).glob("*/*.log")
    return path.read_text()


def lines(output: str) -> list[str]:
    """Return the lines as they stay on the screen: what is erased or drawn over is gone, colours are dropped."""
    kept = [line.split(ERASE_LINE)[-1] for line in output.replace("\r\n", "\n").split("\n")]
    return [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line).split("\r")[-1] for line in kept]


@pytest.mark.slow
def test_on_a_terminal_one_bar_shows_the_training_and_the_log_goes_on_above_it(
    make_runner: Any, toy_config: dict[str, Any], with_validation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Terminal(monkeypatch) as terminal:
        make_runner(hooks=[Talk()], **BAR, **with_validation([0.5])).train()
        assert sys.stdout.isatty(), "stdout was not given back"

    shown = lines(terminal.output)
    bars = [line for line in shown if "18/18" in line]
    assert len(bars) == 1, "the bar was left on the screen more than once"
    assert re.search(r"train .* 18/18 epoch 3/3  loss \d\.\d{4}  lr 1\.00e-01  img/s \d+\.\d  eta 0:00:00", bars[0])
    assert "6/6" in terminal.output, "the validation was not shown"
    assert any(line.endswith("[not markup] and a line that is longer than the terminal " + "x" * 100) for line in shown)
    assert "printed" in shown
    assert "to stderr" in shown
    assert sum("toy/mAP: 0.5000" in line for line in shown) == 3
    assert "Epoch(train)" not in terminal.output
    assert log_file(toy_config).count("Epoch(train)") == 9
    assert terminal.output.index(HIDE_CURSOR) < terminal.output.rindex(SHOW_CURSOR)


def test_a_training_that_raises_leaves_the_cursor_and_the_streams_as_they_were(
    make_runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Terminal(monkeypatch) as terminal:
        runner, stdout = make_runner(hooks=[Talk(fail_at=4)], **BAR), sys.stdout
        with pytest.raises(RuntimeError, match="boom"):
            runner.train()
        (hook,) = [hook for hook in runner.hooks if type(hook).__name__ == "ProgressHook"]
        hook.close()
        assert sys.stdout is stdout
        runner.logger.info("Epoch(train) and eta: after the bar")

    assert terminal.output.rindex(HIDE_CURSOR) < terminal.output.rindex(SHOW_CURSOR)
    assert "after the bar" in terminal.output


@pytest.mark.slow
def test_without_a_terminal_there_are_plain_lines(make_runner: Any, capsys: pytest.CaptureFixture[str]) -> None:
    make_runner(**BAR).train()

    output = capsys.readouterr().out
    assert output.count("Epoch(train)") == 9
    assert "images_per_s: " in output
    assert ERASE_LINE not in output


@pytest.mark.slow
def test_only_rank_0_draws(make_runner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with Terminal(monkeypatch) as terminal:
        runner = make_runner(**BAR)
        runner._rank = 1
        runner.train()

    assert HIDE_CURSOR not in terminal.output
