"""Keeps a copy of a run's folder in S3 up to date."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from vision_research.config.addresses import is_s3, join
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.flow.prepare import PreparedRun
from vision_research.launch.outcome import Outcome
from vision_research.storage.s3.errors import S3Error
from vision_research.storage.s3.mirror import Mirror, MirrorThread, has_run
from vision_research.storage.s3.settings import default_settings
from vision_research.storage.s3.uri import S3Uri
from vision_research.work_dir import WorkDir, write_atomic

logger = logging.getLogger(__name__)


def _address_of_copy(config: TrainConfig, work_dir: WorkDir) -> str | None:
    if is_s3(config.work_dir):
        return str(config.work_dir).rstrip("/")
    if config.storage.checkpoints is not None:
        return join(config.storage.checkpoints, work_dir.root.name)
    return work_dir.s3_address


@contextmanager
def mirrored(run: PreparedRun) -> Iterator[Callable[[Outcome], Outcome]]:
    """Upload changes of the run's folder during the run.

    Yields:
        A function that waits until the whole folder is uploaded. It takes and returns the outcome, which becomes FAILED
        where the training succeeded and the upload did not.

    Raises:
        ConfigError: the address contains another run.
        S3Error: writing there failed.
    """
    address = _address_of_copy(run.config, run.work_dir)
    if address is None:
        yield lambda outcome: outcome
        return
    remote, settings = S3Uri.parse(address), default_settings()
    if not run.config.resume and has_run(remote, settings):
        raise ConfigError(f"{address} holds another run. Type resume={address} to go on with it, or another address")
    mirror = Mirror(run.work_dir, remote, settings)
    mirror.abort_unfinished_uploads()
    write_atomic(run.work_dir.s3_folder, f"{address}\n")
    thread = MirrorThread(mirror)
    thread.start()
    yield partial(_completed, address, thread)


def _completed(address: str, thread: MirrorThread, outcome: Outcome) -> Outcome:
    logger.info("waiting until %s is complete", address)
    try:
        thread.finish()
    except S3Error as error:
        logger.error("%s is not complete: %s", address, error)
        if outcome.status == "FINISHED":
            cause = f"the training is complete, its copy {address} is not: {error}"
            return replace(outcome, status="FAILED", cause=cause)
    return outcome
