from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from vision_research.config.errors import UserError
from vision_research.engine.checkpoints import describe_checkpoints, find_resumable


def save(path: Path, epoch: int, iteration: int, score: float | None = None) -> Path:
    info = {} if score is None else {"best_score": score}
    content = {"meta": {"epoch": epoch, "iter": iteration}, "message_hub": {"runtime_info": info}}
    torch.save({**content, "state_dict": {"weight": torch.arange(5000.0)}}, path)
    return path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def flip_a_byte_of_a_tensor(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entry = next(item for item in archive.infolist() if item.filename.endswith("data/0"))
    content = bytearray(path.read_bytes())
    content[entry.header_offset + 10_000] ^= 0xFF
    path.write_bytes(content)


def test_the_checkpoint_with_most_iterations_wins_whatever_its_name_or_age(tmp_path: Path) -> None:
    newest = save(tmp_path / "iter_250.pth", 2, 250)
    save(tmp_path / "epoch_2.pth", 2, 200)
    save(tmp_path / "epoch_1.pth", 1, 100)
    save(tmp_path / "best_coco_bbox_mAP_epoch_3.pth", 3, 300)

    found = find_resumable(tmp_path)

    assert (found.path, found.epoch, found.iteration, found.broken) == (newest, 2, 250, ())
    assert found.warning is None


@pytest.mark.parametrize("damage", [truncate, flip_a_byte_of_a_tensor, lambda path: path.write_bytes(b"")])
@pytest.mark.fault("the newest checkpoint is damaged", "a resume takes the one before, and names both")
def test_a_damaged_checkpoint_is_passed_over_and_reported(tmp_path: Path, damage: Any) -> None:
    good = save(tmp_path / "epoch_1.pth", 1, 100)
    bad = save(tmp_path / "epoch_2.pth", 2, 200)
    damage(bad)

    found = find_resumable(tmp_path)

    assert (found.path, found.broken) == (good, (bad,))
    assert found.warning == "epoch_2.pth: truncated by a crash, or damaged since; taking epoch_1.pth (iteration 100)"


def test_nothing_to_resume_from_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Nothing to resume from in .* \(no epoch_\*.pth or iter_\*.pth\)"):
        find_resumable(tmp_path)
    truncate(save(tmp_path / "epoch_2.pth", 2, 200))
    with pytest.raises(UserError, match=r"only broken ones: epoch_2\.pth\)\.\nStart anew: .* resume=false"):
        find_resumable(tmp_path)


def test_a_checkpoint_that_would_run_code_is_refused_not_called_damaged(tmp_path: Path) -> None:
    torch.save({"meta": {"epoch": 1, "iter": 1, "code": print}, "state_dict": {}}, tmp_path / "epoch_1.pth")
    with pytest.raises(UserError, match=r"epoch_1\.pth was not written by a training of ours and is not unpickled"):
        find_resumable(tmp_path)


@pytest.mark.slow
def test_a_checkpoint_of_a_real_training_is_understood(
    make_runner: Any, with_validation: Any, toy_config: dict[str, Any]
) -> None:
    checkpoint = {"type": "CheckpointHook", "interval": 1, "save_best": "toy/mAP", "rule": "greater"}
    make_runner(default_hooks={"checkpoint": checkpoint}, **with_validation([0.1, 0.3, 0.2])).train()
    work_dir = Path(toy_config["work_dir"])

    described = describe_checkpoints(work_dir)

    assert find_resumable(work_dir).path == work_dir / "epoch_3.pth"
    best = {"path": str(work_dir / "best_toy_mAP_epoch_2.pth"), "epoch": 2, "iteration": 12, "score": 0.3}
    last = {"path": str(work_dir / "epoch_3.pth"), "epoch": 3, "iteration": 18, "score": 0.3}
    assert described == {"best": best, "last": last}


def test_a_folder_without_checkpoints_is_described_as_such(tmp_path: Path) -> None:
    assert describe_checkpoints(tmp_path) == {"best": None, "last": None}
