"""Processes of a run that are killed: nothing outlives its command, and nothing is lost."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable

import pytest
from interrupted import LONG, Training, Wait, check_resumed
from workplace import Workplace

pytestmark = pytest.mark.slow


@pytest.fixture
def begun(workplace: Workplace, eventually: Wait, request: pytest.FixtureRequest) -> Callable[..., Training]:
    """Start a training of two ranks, and wait for its first epochs."""

    def begin(*words: str) -> Training:
        name = f"{request.node.name}-{time.monotonic_ns()}".translate({ord(c): "-" for c in "[]"})
        training = Training(workplace, name, *(words or LONG))
        eventually(lambda: training.has_run(4))
        return training

    return begin


@pytest.mark.fault(
    "SIGKILL of torchrun in an epoch, two ranks", "the ranks end with it; FAILED; a resume loses no loss"
)
def test_ranks_do_not_outlive_torchrun(begun: Callable[..., Training]) -> None:
    training = begun()
    training.torchrun().kill()
    printed = training.end()
    assert training.command.returncode == 1, printed
    assert training.processes() == []
    assert "torchrun was ended by SIGKILL" in printed
    assert training.run().info.status == "FAILED"
    check_resumed(training)


@pytest.mark.fault("three Ctrl-C with a hung rank", "every process ends with the command; KILLED; a resume goes on")
def test_the_third_signal_ends_everything(begun: Callable[..., Training]) -> None:
    training = begun()
    training.rank(1).suspend()
    for _ in range(3):
        training.command.send_signal(signal.SIGINT)
        time.sleep(0.5)
    printed = training.end()
    assert training.command.returncode == 130, printed
    assert training.processes() == []
    assert training.run().info.status == "KILLED"
    check_resumed(training)


@pytest.mark.fault(
    "SIGKILL of the command, and a resume at once", "the resume waits for the old ranks; no loss is lost"
)
def test_a_resume_waits_for_the_ranks_of_a_killed_command(begun: Callable[..., Training]) -> None:
    training = begun()
    training.command.kill()
    training.command.communicate()
    check_resumed(training)
    assert training.processes() == []


@pytest.mark.rare
@pytest.mark.fault("SIGKILL of the command while a rank hangs", "the next command ends what is left, and goes on")
def test_a_resume_ends_a_hung_rank(begun: Callable[..., Training]) -> None:
    training = begun()
    hung = training.rank(1)
    hung.suspend()
    # torchrun can end nobody any more.
    training.torchrun().suspend()
    training.command.kill()
    # Not `communicate`: those that hang hold the pipe.
    training.command.wait()
    check_resumed(training)
    assert training.processes() == [] and not hung.is_running()


@pytest.mark.rare
@pytest.mark.fault("SIGKILL of a rank", "the command ends as FAILED and names the signal; a resume loses no loss")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_ends_the_run(begun: Callable[..., Training], rank: int) -> None:
    training = begun()
    training.rank(rank).kill()
    printed = training.end()
    assert training.command.returncode == 1, printed
    assert f"rank {rank} was ended by SIGKILL" in printed
    assert training.processes() == []
    assert training.run().info.status == "FAILED"
    check_resumed(training)


@pytest.mark.fault(
    "SIGKILL of a rank with hw.max_restarts=1", "torchrun starts the ranks again; the run ends as FINISHED"
)
@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.rare), 1])
def test_torchrun_starts_killed_ranks_again(begun: Callable[..., Training], rank: int) -> None:
    training = begun(*LONG[:1], "schedule.max_epochs=8", "schedule.val_interval=8", "hw.max_restarts=1")
    training.rank(rank).kill()
    printed = training.end()
    assert training.command.returncode == 0, printed
    assert training.run().info.status == "FINISHED"
    assert sorted(set(training.recorded())) == list(range(1, 17))


@pytest.mark.fault("SIGHUP (the terminal is closed), SIGUSR1 (Slurm warns)", "a checkpoint is saved; KILLED")
@pytest.mark.parametrize("number", [signal.SIGHUP, pytest.param(signal.SIGUSR1, marks=pytest.mark.rare)])
def test_other_signals_stop_as_sigterm_does(begun: Callable[..., Training], number: signal.Signals) -> None:
    training = begun()
    training.command.send_signal(number)
    printed = training.end()
    assert training.command.returncode == 128 + number, printed
    assert training.run().info.status == "KILLED"
    assert (training.work_dir.root / f"iter_{max(training.losses())}.pth").is_file()


@pytest.mark.rare
@pytest.mark.fault("a loader worker is killed", "the command ends as FAILED, says why, and leaves nothing")
def test_a_killed_loader_worker_ends_the_run(begun: Callable[..., Training]) -> None:
    training = begun()
    worker = training.rank(0).children()[0]
    worker.kill()
    printed = training.end()
    assert training.command.returncode == 1, printed
    assert "DataLoader worker" in printed
    assert training.processes() == []
    check_resumed(training)


@pytest.mark.fault("two commands are typed in the same second", "each has a folder of its own")
def test_two_commands_at_once_get_two_folders(workplace: Workplace) -> None:
    words = ("export=none", "tracking=none", "schedule.max_epochs=1", "data.limit_train=4")
    runs = workplace.folder / "runs"
    before = set(runs.glob("2*"))
    both = [workplace.start(*words) for _ in range(2)]
    printed = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    new = set(runs.glob("2*")) - before
    assert len(new) == 2
    assert all((folder / "outcome.json").is_file() for folder in new)


@pytest.mark.rare
@pytest.mark.fault("two commands resume one run at once", "one goes on, the other is refused")
def test_one_of_two_resumes_is_refused(begun: Callable[..., Training], workplace: Workplace) -> None:
    training = begun()
    training.command.send_signal(signal.SIGTERM)
    training.end()
    epochs = max(training.losses()) // 2 + 1
    words = (f"resume={training.work_dir.root}", f"schedule.max_epochs={epochs}", f"schedule.val_interval={epochs}")
    both = [workplace.start(*words, tiny=False) for _ in range(2)]
    printed = [process.communicate(timeout=300)[0] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 1], printed
    assert "a command is running in it" in printed[codes.index(1)]
    assert training.run().info.status == "FINISHED"


@pytest.mark.fault("bad input after the folder was chosen", "no folder is left")
def test_a_refused_command_leaves_no_folder(workplace: Workplace) -> None:
    runs = workplace.folder / "runs"
    before = set(runs.glob("2*"))
    printed = workplace.run("data.classes=[no,such]", expect=1)
    assert "no" in printed
    assert set(runs.glob("2*")) == before


@pytest.mark.fault("kills while checkpoints are written", "unfinished files are removed by the next command")
def test_unfinished_checkpoints_are_removed(begun: Callable[..., Training]) -> None:
    training = begun()
    training.torchrun().kill()
    training.end()
    left = training.work_dir.root / ".epoch_9.pth.a1b2c3d4"
    left.write_bytes(b"half of it")
    check_resumed(training)
    assert not left.exists()


@pytest.mark.fault("SIGKILL of the command during the export", "KILLED; log and checkpoints come with the next command")
def test_a_command_killed_in_the_export_is_not_finished(workplace: Workplace, eventually: Wait) -> None:
    name = f"exporting-{time.monotonic_ns()}"
    training = Training(workplace, name, "schedule.max_epochs=1", export="torchscript")
    request = training.work_dir.export_dir / "request.json"
    eventually(request.exists)
    training.command.kill()
    training.command.communicate()
    eventually(lambda: training.processes() == [])
    assert json.loads(training.work_dir.outcome.read_text())["status"] == "FINISHED"
    workplace.run("sync", str(training.work_dir.root), module="track", tiny=False)
    run = training.run()
    assert run.info.status == "KILLED"
    assert run.data.tags["status_cause"] == "the command was killed after the training; the model was not exported"
    listed = [entry.path for entry in training.client().list_artifacts(run.info.run_id, "checkpoints")]
    assert "checkpoints/epoch_1.pth" in listed
    assert training.client().list_artifacts(run.info.run_id, "logs")
