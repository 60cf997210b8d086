"""Checks S3 for the doctor: whether each address can be listed, read and written, and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vision_research.checks.check import Check, Severity
from vision_research.config.addresses import is_s3
from vision_research.storage.s3.probe import probe
from vision_research.storage.s3.settings import S3Settings

# Time limit of a request; much shorter than in a training.
_TIME_LIMIT_S = 10.0


def s3_checks(places: Mapping[str, str], settings: S3Settings) -> list[Check]:
    """Check every address in S3.

    Args:
        places: address by config key; that of the data need not be writable.
        settings: how S3 is reached.
    """
    limited = replace(settings, give_up_after_s=min(settings.give_up_after_s, _TIME_LIMIT_S))
    found = []
    for key, address in places.items():
        if not is_s3(address):
            continue
        for probed in probe(address, limited):
            only_read = key == "data.root" and probed.action == "write"
            severity = Severity.warning if only_read else Severity.error
            found.append(Check(f"{key} {probed.action}", probed.ok, probed.found, severity))
    return found
