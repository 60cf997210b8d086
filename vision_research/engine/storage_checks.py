"""Looks at S3 for the doctor: at each address, whether it can be listed, read and written, and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vision_research.config.addresses import is_s3
from vision_research.engine.check import Check, Severity
from vision_research.storage.s3.probe import probe
from vision_research.storage.s3.settings import S3Settings

# A doctor who waits as long as a training would is no help.
_PATIENCE_S = 10.0


def s3_checks(places: Mapping[str, str], settings: S3Settings) -> list[Check]:
    """Try every address that lies in S3.

    Args:
        places: address by the key that it was typed for; data need not be written, a run has to be.
        settings: how S3 is reached.
    """
    patient = replace(settings, give_up_after_s=min(settings.give_up_after_s, _PATIENCE_S))
    found = []
    for key, address in places.items():
        if not is_s3(address):
            continue
        for probed in probe(address, patient):
            only_read = key == "data.root" and probed.action == "write"
            severity = Severity.warning if only_read else Severity.error
            found.append(Check(f"{key} {probed.action}", probed.ok, probed.found, severity))
    return found
