from __future__ import annotations

import os
import signal
import time

import pytest

from vision_research.engine.stop_signal import catch_stop_signals, ignore_stop_signals_of_parent, stop_signal


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_is_remembered_inside_of_the_block_only(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with catch_stop_signals():
        assert stop_signal() is None
        os.kill(os.getpid(), number)
        assert stop_signal() is number
    assert stop_signal() is None
    assert signal.getsignal(number) is before


def test_the_second_ctrl_c_ends_the_process_at_once_the_second_sigterm_does_not() -> None:
    with pytest.raises(KeyboardInterrupt), catch_stop_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_a_forked_worker_survives_while_its_parent_catches_and_dies_afterwards() -> None:
    survived, report = os.pipe()
    with catch_stop_signals():
        child = os.fork()
        if child == 0:
            ignore_stop_signals_of_parent()
            for number in (signal.SIGTERM, signal.SIGINT):
                os.kill(os.getpid(), number)
            os.write(report, b"1")
            while True:
                time.sleep(1)
        os.close(report)
        assert os.read(survived, 1) == b"1"
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    os.close(survived)
    assert os.WTERMSIG(status) == signal.SIGTERM
