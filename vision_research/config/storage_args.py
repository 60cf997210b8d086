"""The `backend_args` of MMEngine's file readers."""

from __future__ import annotations

from typing import Any

from vision_research.config.addresses import is_s3, join
from vision_research.config.schema import StorageConfig, TrainConfig


def s3_settings(storage: StorageConfig) -> dict[str, Any]:
    """Return the arguments of the S3 back end."""
    return {
        "endpoint_url": storage.endpoint_url,
        "region": storage.region,
        "profile": storage.profile,
        "give_up_after_s": storage.give_up_after_s,
        "cache_dir": storage.cache_dir,
        "cache_size_gb": storage.cache_size_gb,
        "packed": storage.packed,
    }


def backend_args(storage: StorageConfig, address: str) -> dict[str, Any] | None:
    """Return the `backend_args` for an address; None for a local path, which MMEngine reads by its local back end.

    Args:
        storage: how S3 is reached.
        address: a local path, or an address in S3.
    """
    return {"backend": "s3", **s3_settings(storage)} if is_s3(address) else None


def image_backend(config: TrainConfig, folder: str) -> dict[str, Any] | None:
    """Return the `backend_args` for the images of a folder.

    Args:
        config: the run.
        folder: relative to `data.root`, absolute, or in S3.
    """
    return backend_args(config.storage, join(config.data.root, folder))
