"""Loads checkpoints and weights from S3 wherever MMEngine takes the address of one.

Importing this module registers the loader for `s3://`. It replaces MMEngine's own loader, which needs a client that is
not public (petrel).
"""

from __future__ import annotations

import io
from typing import Any

from mmengine.runner import CheckpointLoader

from vision_research.storage.checkpoint_types import allow_checkpoint_types
from vision_research.storage.s3.objects import read_object
from vision_research.storage.s3.settings import default_settings
from vision_research.storage.s3.uri import S3Uri


def load_from_s3(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint, without running code that it may contain.

    Args:
        filename: `s3://BUCKET/KEY`.
        map_location: as in `torch.load`.

    Raises:
        S3NotFoundError: there is no such object.
        S3Error: it was refused, or the server did not answer in time.
        pickle.UnpicklingError: it contains more than weights and MMEngine's own records.
    """
    import torch

    allow_checkpoint_types()
    body = read_object(S3Uri.parse(filename), default_settings())
    return torch.load(io.BytesIO(body), map_location=map_location, weights_only=True)


# The pattern under which MMEngine registers its own loader (mmengine/runner/checkpoint.py).
CheckpointLoader.register_scheme(prefixes=[r"(\S+\:)?s3://"], loader=load_from_s3, force=True)
