"""What a person sees of a training on the console: its progress, and none of the platform's chatter.

The log file of the run keeps all of it.
"""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

# How MMEngine's messages begin that fill screens: hundreds of lines that config.py and the log file hold as well.
LOG_FILE_ONLY = (
    "Config:",
    "Hooks will be executed",
    "paramwise_options",
    '"FileClient" will be',
    '"HardDiskBackend" is',
)
ENVIRONMENT_RULE = "-" * 60


def quiet_console(logger: logging.Logger) -> None:
    """Keep the platform's long messages in the log file, and off the console."""
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and getattr(handler, "stream", None) in (sys.stdout, sys.stderr):
            handler.addFilter(_is_for_the_console)


def quiet_warnings() -> None:
    """Leave out what today's torch says about the platform's code; nobody who trains or exports can change it."""
    for module in ("mmcv", "mmdet", "mmengine"):
        warnings.filterwarnings("ignore", category=FutureWarning, module=module)
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=module)
    warnings.filterwarnings("ignore", message="DeprecationWarning: ", category=UserWarning)
    warnings.filterwarnings("ignore", message="torch.meshgrid", category=UserWarning)
    warnings.filterwarnings("ignore", message="Default ``avg_non_ignore``", category=UserWarning)
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)


@contextmanager
def quiet_platform() -> Iterator[None]:
    """Keep what pycocotools prints and MMEngine logs about data sets and scores off the console; warnings stay."""
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
