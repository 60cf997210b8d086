"""Registers models: a new version becomes the champion only if it is better than the current one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_research.config.errors import ConfigError, EnvironmentProblem
from vision_research.tracking.client import store_of_run
from vision_research.tracking.connection import RunGone, StoreError, StoreRefused, store_errors
from vision_research.tracking.run import connect
from vision_research.tracking.run_record import RunRecord
from vision_research.tracking.uri import remedy

CHAMPION, CHALLENGER = "champion", "challenger"
DATA_TAG = "test_data"


@dataclass(frozen=True)
class Candidate:
    """A model to register.

    Attributes:
        name: of the registered model.
        digest: of the artifact; versions with equal artifacts of one run share their files.
        metric: name of the metric that is compared.
        value: value of the metric on the test images.
        data: digest of the test images; values on other images are not comparable.
        margin: how much better than the champion the model has to be.
    """

    name: str
    digest: str
    metric: str
    value: float
    data: str
    margin: float


@dataclass(frozen=True)
class Registered:
    """A registered version.

    Attributes:
        version: its number.
        is_champion: whether it became the champion.
        reason: why it did, or did not.
    """

    version: str
    is_champion: bool
    reason: str


def register(record: RunRecord, files: Sequence[Path], candidate: Candidate) -> Registered:
    """Register an MLflow model as a new version, and make it the champion if it is better.

    Unlike everything else that is recorded, this waits for the server, because the caller needs the answer.

    Args:
        record: the run that the model comes from.
        files: all files of the MLflow model; they are copied into a separate folder of the run.
        candidate: the model and its score.

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
        with store_errors():
            version = _create_version(store.client, candidate.name, record.run_id, folder, tags)
            store.client.set_registered_model_alias(candidate.name, CHALLENGER, version)
            return _challenge(store.client, candidate, version)
    except StoreRefused as error:
        raise ConfigError(f"tracking.register_as={candidate.name}: {error}") from error
    except (RunGone, StoreError) as error:
        raise EnvironmentProblem(f"tracking.register_as={candidate.name}: {error}. {remedy(record.uri)}") from error


def _create_version(client: Any, name: str, run_id: str, artifact_path: str, tags: dict[str, str]) -> str:
    """Register the MLflow model in a folder of a run as a new version; return its number."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{client.get_run(run_id).info.artifact_uri.rstrip('/')}/{artifact_path}"
    return str(client.create_model_version(name, source, run_id, tags=tags).version)


def _challenge(client: Any, candidate: Candidate, version: str) -> Registered:
    champion = client.get_registered_model(candidate.name).aliases.get(CHAMPION)
    tags = None if champion is None else dict(client.get_model_version(candidate.name, champion).tags)
    is_better, reason = decide(tags, candidate)
    if is_better:
        client.set_registered_model_alias(candidate.name, CHAMPION, version)
    return Registered(version, is_better, reason)


def decide(champion: dict[str, str] | None, candidate: Candidate) -> tuple[bool, str]:
    """Decide whether a candidate replaces the champion, and why.

    Args:
        champion: tags of the champion's version; None where there is no champion.
        candidate: the new version.
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
