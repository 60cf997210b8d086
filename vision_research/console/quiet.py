"""Keeps messages and warnings of MMEngine, MMDetection and torch off the console; the log file keeps the messages."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

# How the longest messages of MMEngine begin; config.py and the log file hold their hundreds of lines as well.
LOG_FILE_ONLY = (
    "Config:",
    "Hooks will be executed",
    "paramwise_options",
    '"FileClient" will be',
    '"HardDiskBackend" is',
)
ENVIRONMENT_RULE = "-" * 60


def quiet_console(logger: logging.Logger) -> None:
    """Keep the long messages of MMEngine off the console; its log file still gets them."""
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and getattr(handler, "stream", None) in (sys.stdout, sys.stderr):
            handler.addFilter(_is_for_the_console)


def quiet_warnings() -> None:
    """Suppress warnings about the code of mmcv, MMDetection and MMEngine, which a user cannot change."""
    for module in ("mmcv", "mmdet", "mmengine"):
        warnings.filterwarnings("ignore", category=FutureWarning, module=module)
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=module)
    messages = ("DeprecationWarning: ", "torch.meshgrid", "Default ``avg_non_ignore``", "pkg_resources is deprecated")
    for message in messages:
        warnings.filterwarnings("ignore", message=message, category=UserWarning)


@contextmanager
def quiet_platform() -> Iterator[None]:
    """Suppress prints, and log messages below warnings, inside of the block."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _is_for_the_console(record: logging.LogRecord) -> bool:
    message = record.getMessage().lstrip()
    return not message.startswith((*LOG_FILE_ONLY, ENVIRONMENT_RULE)) and "is duplicate. It is skipped" not in message
