"""Gives heads without `loss_cls` (SSDHead) that attribute, which BaseDenseHead reads while it predicts."""

from __future__ import annotations

from typing import Any


def repair(detector: Any) -> None:
    """Set `bbox_head.loss_cls` to None where the head has no such attribute."""
    head = getattr(detector, "bbox_head", None)
    if head is not None and not hasattr(head, "loss_cls"):
        head.loss_cls = None
