"""A server that is slow, overloaded, broken or gone: reads go on where they can, and end in one clear error in time."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import mmengine.fileio as fileio
import pytest
from s3_proxy import Fault, S3Proxy
from s3_server import S3Server

from vision_research.storage.s3 import objects
from vision_research.storage.s3.backend import S3Backend
from vision_research.storage.s3.errors import S3Error, S3GaveUpError
from vision_research.storage.s3.settings import S3Settings

BODY = bytes(range(256)) * 400


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[S3Proxy]:
    with S3Proxy(s3_server.endpoint) as proxy:
        yield proxy


@pytest.fixture
def image(bucket: str) -> str:
    fileio.put(BODY, f"{bucket}/image")
    return f"{bucket}/image"


def backend(proxy: S3Proxy, cache: Path | None = None, give_up_after_s: float = 10) -> S3Backend:
    folder = None if cache is None else str(cache)
    return S3Backend(endpoint_url=proxy.endpoint, cache_dir=folder, give_up_after_s=give_up_after_s, read_timeout_s=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault.unavailable, Fault.cut, Fault.silent])
@pytest.mark.fault(
    "S3 cuts a body short, closes the connection, answers 500 or 503, once",
    "the read is repeated, and gives the whole object",
)
def test_a_read_survives_a_fault_that_passes(fault: Fault, proxy: S3Proxy, image: str) -> None:
    turns = itertools.count()
    proxy.fault = lambda method, path: fault if next(turns) < 3 else Fault.none

    assert backend(proxy).get(image) == BODY
    assert proxy.requests["GET"] == 4


@pytest.mark.slow
@pytest.mark.fault("half of all answers of S3 fail", "every image is read")
def test_half_of_them_failing_loses_none(proxy: S3Proxy, bucket: str) -> None:
    for number in range(20):
        fileio.put(str(number).encode(), f"{bucket}/{number}")
    turns = itertools.count()
    proxy.fault = lambda method, path: (Fault.unavailable, Fault.none, Fault.cut, Fault.none)[next(turns) % 4]
    reading = backend(proxy)

    assert [reading.get(f"{bucket}/{number}") for number in range(20)] == [str(n).encode() for n in range(20)]


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault.unavailable, Fault.silent])
@pytest.mark.fault("S3 fails for good", "an error within `storage.give_up_after_s` that says what failed")
def test_a_fault_that_stays_is_given_up_in_time(fault: Fault, proxy: S3Proxy, image: str) -> None:
    proxy.fault = lambda method, path: fault
    started = time.monotonic()

    with pytest.raises(S3GaveUpError, match=r"for 2 s \(storage.give_up_after_s\); at last: (SlowDown|ReadTimeout)"):
        backend(proxy, give_up_after_s=2).get(image)
    assert time.monotonic() - started < 3


@pytest.mark.slow
def test_a_second_epoch_reads_no_byte(proxy: S3Proxy, image: str, tmp_path: Path) -> None:
    reading = backend(proxy, tmp_path)

    assert [reading.get(image) for _ in range(3)] == [BODY] * 3
    assert proxy.requests["GET"] == 1


@pytest.mark.slow
@pytest.mark.fault("an object in S3 changes between two runs", "the next run reads the new one")
def test_a_new_run_asks_once_and_reads_what_has_changed(
    proxy: S3Proxy, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = backend(proxy, tmp_path)
    reading.get(image)
    monkeypatch.setattr(objects, "_run_started", time.time() + 0.01)
    time.sleep(0.02)
    proxy.reset()

    assert [reading.get(image) for _ in range(2)] == [BODY] * 2
    assert (proxy.requests["GET"], proxy.body_bytes) == (1, 0), "asked once, and told that nothing has changed"

    fileio.put(b"new", image)
    monkeypatch.setattr(objects, "_run_started", time.time() + 0.01)
    assert reading.get(image) == b"new"


@pytest.mark.slow
@pytest.mark.fault("a file of the S3 cache is damaged", "it is fetched anew")
def test_a_corrupt_cached_file_is_fetched_anew(
    proxy: S3Proxy, image: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reading = backend(proxy, tmp_path)
    reading.get(image)
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file() and path.name != "size")
    file.write_bytes(file.read_bytes()[:-1] + b"X")

    with caplog.at_level(logging.WARNING):
        assert reading.get(image) == BODY
    assert "is damaged" in caplog.text
    assert proxy.requests["GET"] == 2


@pytest.mark.slow
@pytest.mark.fault("SIGKILL of the S3 server, which comes back", "reads wait, and give whole objects")
def test_a_server_that_is_killed_and_comes_back_is_waited_for(
    own_s3_server: S3Server, s3_credentials: None, tmp_path: Path
) -> None:
    reading = S3Backend(endpoint_url=own_s3_server.endpoint, give_up_after_s=60, cache_dir=None)
    from vision_research.storage.s3.client import s3_client

    s3_client(S3Settings(endpoint_url=own_s3_server.endpoint)).create_bucket(Bucket="killed")
    reading.put(BODY, "s3://killed/image")
    own_s3_server.kill()
    settings = S3Settings(endpoint_url=own_s3_server.endpoint, give_up_after_s=60)
    objects.prefetch_object("s3://killed/image", settings)
    time.sleep(0.5)
    own_s3_server.start()

    assert reading.get("s3://killed/image") == BODY


@pytest.mark.slow
@pytest.mark.fault("credentials of S3 expire in the middle of a run", "they are looked for anew")
def test_credentials_that_expire_are_looked_for_anew(
    proxy: S3Proxy, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    keys = "[default]\naws_access_key_id = {}\naws_secret_access_key = labsecret\n"
    file.write_text(keys.format("oldkey"))

    def expire(method: str, path: str) -> Fault:
        if "oldkey" in path:
            file.write_text(keys.format("labkey"))  # as a tool that logs in again does
            return Fault.expired
        return Fault.none

    proxy.fault = expire
    assert backend(proxy).get(image) == BODY
    assert proxy.requests["GET"] == 2


@pytest.mark.slow
@pytest.mark.fault("credentials of S3 stay expired", "an error at once")
def test_credentials_that_stay_expired_are_an_error_at_once(proxy: S3Proxy, image: str) -> None:
    proxy.fault = lambda method, path: Fault.expired

    with pytest.raises(S3Error, match="have expired"):
        backend(proxy).get(image)
    assert proxy.requests["GET"] == 2
