"""What the project asks of MLflow's model registry: versions of a registered model, and the aliases that name them."""

from __future__ import annotations

from collections.abc import Mapping

from vision_research.tracking.client import Store
from vision_research.tracking.store_errors import store_errors


class RegisteredModels:
    """The model registry of a store. Every method raises a `StoreError`.

    Args:
        store: an open store.
    """

    def __init__(self, store: Store) -> None:
        self._client = store.client

    def create_version(self, name: str, run_id: str, artifact_path: str, tags: Mapping[str, str]) -> str:
        """Register the MLflow model in a folder of a run as a new version.

        Args:
            name: of the registered model; made if absent.
            run_id: MLflow's id of the run.
            artifact_path: folder of the model inside the run.
            tags: of the version.

        Returns:
            The number of the version.
        """
        from mlflow.exceptions import MlflowException

        with store_errors():
            try:
                self._client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            source = f"{self._client.get_run(run_id).info.artifact_uri.rstrip('/')}/{artifact_path}"
            made = self._client.create_model_version(name, source, run_id, tags=dict(tags))
            return str(made.version)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version.

        Args:
            name: of the registered model.
            alias: such as `champion`.
            version: number of the version.
        """
        with store_errors():
            self._client.set_registered_model_alias(name, alias, version)

    def version_tags(self, name: str, alias: str) -> dict[str, str] | None:
        """Read the tags of the version that an alias points at.

        Args:
            name: of the registered model.
            alias: such as `champion`.

        Returns:
            The tags; None where the alias points at no version.
        """
        with store_errors():
            version = self._client.get_registered_model(name).aliases.get(alias)
            return None if version is None else dict(self._client.get_model_version(name, version).tags)
