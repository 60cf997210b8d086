from __future__ import annotations

from pathlib import Path

import pytest
from git import Actor, Repo

from vision_research.tracking.params import git_tags


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
    version = git_tags(tmp_path / "runs")
    assert (version["git.commit"], version["git.branch"], version["git.dirty"]) == (
        checkout.head.commit.hexsha,
        "main",
        "false",
    )
    assert version["mlflow.source.git.commit"] == version["git.commit"]


def test_a_changed_file_makes_it_dirty(checkout: Repo, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("lr = 2\n")
    version = git_tags(tmp_path)
    assert version["git.dirty"] == "true"


def test_a_detached_head(checkout: Repo, tmp_path: Path) -> None:
    checkout.head.reference = checkout.head.commit
    version = git_tags(tmp_path)
    assert version["git.branch"] == "detached"


def test_before_the_first_commit_there_is_no_version(tmp_path: Path) -> None:
    Repo.init(tmp_path)
    assert git_tags(tmp_path) == {}


def test_outside_of_git_there_is_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_tags(tmp_path) == {}


def test_a_folder_that_is_gone_has_no_version(tmp_path: Path) -> None:
    assert git_tags(tmp_path / "gone") == {}
