"""Which operators compute, as `ops` chooses it. Loads neither torch nor mmcv."""

from __future__ import annotations

import os

# In the environment, so that the processes that a process starts compute as it does.
VARIABLE = "VISION_RESEARCH_OPS"
BUILD = "python .ci/mmcv_wheel.py"
CHOICES = ("auto", "plain", "compiled")


def select(choice: str) -> None:
    """Choose who computes the operators, in this process and in those that it starts.

    Args:
        choice: `plain` for torch's own functions (and torchvision's kernels on a GPU), `compiled` for mmcv's compiled
            functions where they exist, `auto` for plain ones, and on a GPU without torchvision for compiled ones.

    Raises:
        ValueError: it is none of them.
    """
    if choice not in CHOICES:
        raise ValueError(f"ops={choice}: choose one of {', '.join(CHOICES)}")
    os.environ[VARIABLE] = choice


def selected() -> str:
    """The choice: `auto`, `plain` or `compiled`."""
    return os.environ.get(VARIABLE, "auto")
