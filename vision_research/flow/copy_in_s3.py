"""A run whose folder has a copy in S3: where that is, and that it is kept up to date."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from vision_research.config.addresses import is_s3, join
from vision_research.config.errors import ConfigError
from vision_research.config.schema import TrainConfig
from vision_research.flow.outcome import Outcome
from vision_research.flow.prepare import PreparedRun
from vision_research.storage.s3.errors import S3Error
from vision_research.storage.s3.mirror import Mirror, has_run
from vision_research.storage.s3.mirror_thread import MirrorThread
from vision_research.storage.s3.settings import default_settings
from vision_research.storage.s3.uri import S3Uri
from vision_research.work_dir import WorkDir, write_atomic

logger = logging.getLogger(__name__)


def address_of_copy(config: TrainConfig, work_dir: WorkDir) -> str | None:
    """Return where the copy of a run's folder is kept; None where it has none."""
    if is_s3(config.work_dir):
        return str(config.work_dir).rstrip("/")
    if config.storage.checkpoints is not None:
        return join(config.storage.checkpoints, work_dir.root.name)
    return work_dir.s3_folder.read_text(encoding="utf-8").strip() if work_dir.s3_folder.is_file() else None


class Copy:
    """The copy of a run that is under way; without an address it does nothing."""

    def __init__(self, address: str | None, thread: MirrorThread | None) -> None:
        """Use `copied`."""
        self._address = address
        self._thread = thread

    def complete(self, outcome: Outcome) -> Outcome:
        """Wait until S3 has all of the folder.

        Returns:
            The outcome; FAILED where the training is complete and its copy is not.
        """
        if self._thread is None:
            return outcome
        logger.info("waiting until %s is complete", self._address)
        try:
            self._thread.finish()
        except S3Error as error:
            logger.error("%s is not complete: %s", self._address, error)
            if outcome.status == "FINISHED":
                cause = f"the training is complete, its copy {self._address} is not: {error}"
                return replace(outcome, status="FAILED", cause=cause)
        return outcome


@contextmanager
def copied(run: PreparedRun) -> Iterator[Copy]:
    """Keep the copy of a run's folder up to date while the run goes on.

    Raises:
        ConfigError: another run's copy is there.
        S3Error: it may not be written.
    """
    address = address_of_copy(run.config, run.work_dir)
    if address is None:
        yield Copy(None, None)
        return
    remote, settings = S3Uri.parse(address), default_settings()
    if not run.config.resume and has_run(remote, settings):
        raise ConfigError(f"{address} holds another run. Type resume={address} to go on with it, or another address")
    mirror = Mirror(run.work_dir, remote, settings)
    mirror.begin()
    write_atomic(run.work_dir.s3_folder, f"{address}\n")
    thread = MirrorThread(mirror)
    thread.start()
    yield Copy(address, thread)
