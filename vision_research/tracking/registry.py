"""The MLflow model registry: a new version challenges the champion, and takes its place only if it is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_research.config.errors import ConfigError, EnvironmentProblem
from vision_research.tracking.client import Store, store_of_run
from vision_research.tracking.run import connect
from vision_research.tracking.run_record import RunRecord
from vision_research.tracking.store_errors import RunGone, StoreError, StoreRefused
from vision_research.tracking.uri import remedy

CHAMPION, CHALLENGER = "champion", "challenger"
DATA_TAG = "test_data"


@dataclass(frozen=True)
class Candidate:
    """A model that shall be registered.

    Attributes:
        name: of the registered model.
        digest: of the artifact; versions of equal artifacts of a run share their files.
        metric: name of the value that decides.
        value: of it, on the test images.
        data: digest of these images: values on other images do not compare.
        margin: by how much the champion has to be beaten.
    """

    name: str
    digest: str
    metric: str
    value: float
    data: str
    margin: float


@dataclass(frozen=True)
class Registered:
    """A version that was registered.

    Attributes:
        version: its number.
        is_champion: whether it is the champion now.
        reason: why, or why not.
    """

    version: str
    is_champion: bool
    reason: str


def register(record: RunRecord, files: Sequence[Path], candidate: Candidate) -> Registered:
    """Register an MLflow model as a new version, and let it challenge the champion.

    Unlike all else that is recorded this waits for the server: the answer is what was asked for.

    Args:
        record: the run that the model comes from.
        files: all files of the MLflow model, which are copied into a folder of their own in the run.
        candidate: what it is, and how good.

    Raises:
        ConfigError: the registry refuses the name.
        EnvironmentProblem: the store does not answer, or the run is gone from it.
    """
    try:
        store = connect(store_of_run, record.uri, record.timeout_s)
        folder = f"registered/{candidate.digest[:12]}"
        for path in files:
            store.log_artifact(record.run_id, path, folder)
        tags = {candidate.metric: repr(candidate.value), DATA_TAG: candidate.data, "sha256": candidate.digest}
        version = store.create_version(candidate.name, record.run_id, folder, tags)
        store.set_alias(candidate.name, CHALLENGER, version)
        return _challenge(store, candidate, version)
    except StoreRefused as error:
        raise ConfigError(f"tracking.register_as={candidate.name}: {error}") from error
    except (RunGone, StoreError) as error:
        raise EnvironmentProblem(f"tracking.register_as={candidate.name}: {error}. {remedy(record.uri)}") from error


def _challenge(store: Store, candidate: Candidate, version: str) -> Registered:
    champion = store.version_tags(candidate.name, CHAMPION)
    is_better, reason = decide(champion, candidate)
    if is_better:
        store.set_alias(candidate.name, CHAMPION, version)
    return Registered(version, is_better, reason)


def decide(champion: dict[str, str] | None, candidate: Candidate) -> tuple[bool, str]:
    """Say whether a candidate takes the champion's place, and why.

    Args:
        champion: tags of the champion's version; None where there is none.
        candidate: the challenger.
    """
    if champion is None:
        return True, "there was no champion"
    if champion.get(DATA_TAG) != candidate.data:
        return False, "the champion was measured on other images: register it anew on these to compare"
    if candidate.metric not in champion:
        return False, f"the champion was measured without {candidate.metric}: register it anew to compare"
    before = float(champion[candidate.metric])
    compared = f"{candidate.metric} {candidate.value:.4f} against {before:.4f}, margin {candidate.margin:g}"
    return candidate.value > before + candidate.margin, compared
