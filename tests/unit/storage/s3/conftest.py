from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from s3_server import S3Server

from vision_research.storage.s3.client import s3_client
from vision_research.storage.s3.settings import S3Settings, set_default_settings

_numbers = count()


@pytest.fixture
def settings(s3_server: S3Server, s3_credentials: None) -> Iterator[S3Settings]:
    """How the test server is reached, for `s3://` in this process too."""
    settings = S3Settings(endpoint_url=s3_server.endpoint, give_up_after_s=5)
    set_default_settings(settings)
    yield settings
    set_default_settings(None)


@pytest.fixture
def bucket(settings: S3Settings) -> str:
    """The address of a new, empty bucket."""
    name = f"bucket-{next(_numbers)}"
    s3_client(settings).create_bucket(Bucket=name)
    return f"s3://{name}"
