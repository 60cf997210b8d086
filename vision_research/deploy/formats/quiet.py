"""Hides what libraries print while they convert a detector."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet(up_to: int = logging.WARNING) -> Iterator[None]:
    """Hide warnings, progress bars, and log records up to a level, within the block."""
    before = logging.root.manager.disable
    logging.disable(up_to)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
