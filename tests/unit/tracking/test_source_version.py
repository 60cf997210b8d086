from __future__ import annotations

from pathlib import Path

import pytest
from git import Actor, Repo

from vision_research.tracking.params import source_version


@pytest.fixture
def checkout(tmp_path: Path) -> Repo:
    repo = Repo.init(tmp_path, initial_branch="main")
    (tmp_path / "train.py").write_text("lr = 1\n")
    repo.index.add(["train.py"])
    author = Actor("Ada", "ada@example.org")
    repo.index.commit("first", author=author, committer=author)
    return repo


def test_a_clean_checkout(checkout: Repo, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "untracked.txt").write_text("")
    version = source_version(tmp_path / "runs")
    assert version is not None
    assert (version.commit, version.branch, version.dirty) == (checkout.head.commit.hexsha, "main", False)


def test_a_changed_file_makes_it_dirty(checkout: Repo, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("lr = 2\n")
    version = source_version(tmp_path)
    assert version is not None
    assert version.dirty


def test_a_detached_head(checkout: Repo, tmp_path: Path) -> None:
    checkout.head.reference = checkout.head.commit
    version = source_version(tmp_path)
    assert version is not None
    assert version.branch == "detached"


def test_before_the_first_commit_there_is_no_version(tmp_path: Path) -> None:
    Repo.init(tmp_path)
    assert source_version(tmp_path) is None


def test_outside_of_git_there_is_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert source_version(tmp_path) is None


def test_a_folder_that_is_gone_has_no_version(tmp_path: Path) -> None:
    assert source_version(tmp_path / "gone") is None
