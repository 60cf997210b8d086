"""Weights in S3 are loaded wherever MMEngine takes an address."""

from __future__ import annotations

import io
import os
import pickle
from typing import Any

import mmengine.fileio as fileio
import pytest
import torch
from mmengine.runner import CheckpointLoader

import vision_research.storage.s3.checkpoint_loader  # noqa: F401
from vision_research.storage.s3.errors import S3NotFoundError


def saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


class Harmful:
    def __reduce__(self) -> Any:
        return os.getpid, ()


def test_weights_are_loaded(bucket: str) -> None:
    fileio.put(saved({"state_dict": {"weight": torch.arange(3)}}), f"{bucket}/a.pth")

    loaded = CheckpointLoader.load_checkpoint(f"{bucket}/a.pth", map_location="cpu")

    assert loaded["state_dict"]["weight"].tolist() == [0, 1, 2]


def test_nothing_in_it_is_run(bucket: str) -> None:
    fileio.put(saved(Harmful()), f"{bucket}/a.pth")

    with pytest.raises(pickle.UnpicklingError, match="getpid"):
        CheckpointLoader.load_checkpoint(f"{bucket}/a.pth")


def test_one_that_is_not_there_is_named(bucket: str) -> None:
    with pytest.raises(S3NotFoundError, match=f"There is no {bucket}/none.pth"):
        CheckpointLoader.load_checkpoint(f"{bucket}/none.pth")
