"""Hides what the calibrations to int8 print."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_calibration() -> Iterator[None]:
    """Hide progress bars and warnings within the block: convolutions alone are quantized on purpose."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
