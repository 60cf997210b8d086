"""The signals by which a person or a scheduler stops a run."""

from __future__ import annotations

import signal

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Ctrl-C, a scheduler, a terminal that is closed, and Slurm's warning before the end of a job's time."""
