"""Lowers how S3 is reached: arguments of a storage back end, for whatever in MMEngine reads an address."""

from __future__ import annotations

from typing import Any

from vision_research.config.addresses import is_s3
from vision_research.config.schema import StorageConfig


def s3_settings(storage: StorageConfig) -> dict[str, Any]:
    """Return what the storage back end of S3 takes."""
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
    """Return the `backend_args` with which an address is read; None is MMEngine's choice, the local back end."""
    return {"backend": "s3", **s3_settings(storage)} if is_s3(address) else None
