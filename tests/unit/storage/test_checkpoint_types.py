"""Reading checkpoints without running what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging.history_buffer import HistoryBuffer

from vision_research.storage.checkpoint_types import CheckpointError, load_checkpoint_safely


def saved(path: Path, **extra: Any) -> Path:
    torch.save({"state_dict": {"weight": torch.arange(4096.0)}, **extra}, path)
    return path


class Malicious:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


class NamesAnything:
    """Unpickling it asks getattr for something else than HistoryBuffer's statistics."""

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (HistoryBuffer, "__init__")


def test_what_mmengine_records_is_read(tmp_path: Path) -> None:
    buffer = HistoryBuffer([0.5, 1.5], [1, 1])
    extra = {"message_hub": {"loss": buffer}, "metric": np.float64(0.25), "counts": np.array([1, 2])}

    checkpoint = load_checkpoint_safely(saved(tmp_path / "epoch_1.pth", **extra))

    assert checkpoint["message_hub"]["loss"].mean() == 1.0
    assert checkpoint["metric"] == 0.25 and checkpoint["counts"].tolist() == [1, 2]
    assert float(checkpoint["state_dict"]["weight"][7]) == 7.0


@pytest.mark.fault("a checkpoint with code in its pickle", "refused by name, nothing runs")
def test_anything_else_is_refused_by_name_and_not_run(tmp_path: Path) -> None:
    path = saved(tmp_path / "evil.pth", extra=Malicious(tmp_path / "touched"))

    with pytest.raises(CheckpointError, match=r"was not unpickled: .*Path.* trust_checkpoint=true"):
        load_checkpoint_safely(path)

    assert not (tmp_path / "touched").exists()


@pytest.mark.fault("a checkpoint in the old format with code in it", "refused by name, nothing runs")
def test_a_refused_file_in_the_old_format_brings_no_advice_to_unpickle_it(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save({"state_dict": Malicious(tmp_path / "touched")}, path, _use_new_zipfile_serialization=False)

    with pytest.raises(CheckpointError, match=r"was not unpickled: pathlib.Path\. If you know") as error:
        load_checkpoint_safely(path)

    assert "weights_only" not in str(error.value) and not (tmp_path / "touched").exists()


def test_a_trusted_file_is_unpickled(tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.pth", extra=Malicious(tmp_path / "touched"))

    load_checkpoint_safely(path, trust=True)

    assert (tmp_path / "touched").exists()


def test_getattr_reaches_the_statistics_of_history_buffer_only(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="was not unpickled"):
        load_checkpoint_safely(saved(tmp_path / "evil.pth", extra=NamesAnything()))


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.fault("a truncated checkpoint", "refused, and called truncated")
def test_a_truncated_file_is_called_so(tmp_path: Path, part: float) -> None:
    path = saved(tmp_path / "epoch_1.pth")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])

    with pytest.raises(CheckpointError, match="epoch_1.pth cannot be read, it is truncated or no checkpoint") as error:
        load_checkpoint_safely(path)
    # torch says in four sentences more what to do about it.
    assert "miniz" not in str(error.value)


def test_a_file_without_weights_and_a_missing_one_are_named(tmp_path: Path) -> None:
    torch.save([1], tmp_path / "list.pth")

    with pytest.raises(CheckpointError, match="list.pth holds no 'state_dict'"):
        load_checkpoint_safely(tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="No checkpoint at .*absent.pth"):
        load_checkpoint_safely(tmp_path / "absent.pth")
