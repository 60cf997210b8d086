"""The head of a stage behind the shared head that some detectors have (C4 variants)."""

from __future__ import annotations

from typing import Any

from torch import nn


class HeadAfterShared(nn.Module):
    """The shared head, where there is one, and a head.

    Args:
        head: MMDetection's head of boxes, masks or grid points.
        shared_head: what pooled RoIs pass before it; None where there is none.
    """

    def __init__(self, head: Any, shared_head: nn.Module | None) -> None:
        super().__init__()
        self.shared_head = nn.Identity() if shared_head is None else shared_head
        self.head = head


def shared_head(roi_head: Any) -> nn.Module | None:
    """The shared head of an RoI head, or None where there is none."""
    return roi_head.shared_head if roi_head.with_shared_head else None
