"""A pack gives every image back, by few requests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import mmengine.fileio as fileio
import pytest
from s3_proxy import S3Proxy

from vision_research.storage.s3.backend import S3Backend
from vision_research.storage.s3.errors import S3Error, S3NotFoundError
from vision_research.storage.s3.objects import RUN_STARTED
from vision_research.storage.s3.pack_format import PackIndex, write_index
from vision_research.storage.s3.pack_writer import PackWriter
from vision_research.storage.s3.path import as_path
from vision_research.storage.s3.settings import S3Settings, set_default_settings
from vision_research.storage.s3.uri import S3Uri

NUM_IMAGES = 500
IMAGES = {f"images/{number // 100}/a b+{number}.jpg": os.urandom(3000 + number) for number in range(NUM_IMAGES)}


@pytest.fixture
def packed(bucket: str, s3_settings: S3Settings, tmp_path: Path) -> str:
    """A pack of several shards, and an annotation file beside it."""
    writer = PackWriter(S3Uri.parse(f"{bucket}/p"), s3_settings, shard_bytes=300_000, scratch=tmp_path)
    assert writer.write(list(IMAGES), IMAGES.__getitem__) == 4
    fileio.put(b"{}", f"{bucket}/p/annotations/train.json")
    return f"{bucket}/p"


@pytest.fixture
def proxy(s3_settings: S3Settings) -> Iterator[S3Proxy]:
    with S3Proxy(str(s3_settings.endpoint_url)) as proxy:
        yield proxy


def backend(proxy: S3Proxy, **changes: Any) -> S3Backend:
    return S3Backend(endpoint_url=proxy.endpoint, packed=True, give_up_after_s=5, **changes)


def shuffled() -> list[str]:
    return sorted(IMAGES, key=hash)


@pytest.mark.slow
def test_every_image_comes_back_by_a_request_for_fifty(packed: str, proxy: S3Proxy, tmp_path: Path) -> None:
    reading = backend(proxy, cache_dir=str(tmp_path / "cache"))
    for _ in range(2):
        assert all(reading.get(f"{packed}/{name}") == IMAGES[name] for name in shuffled())

    blocks, lookups = 8, 3  # the first folder asks for an index, the one above it, and where it is
    assert proxy.requests["GET"] == blocks + lookups


@pytest.mark.slow
def test_another_process_asks_for_no_index(packed: str, proxy: S3Proxy, tmp_path: Path) -> None:
    script = (
        "import sys; from vision_research.storage.s3.backend import S3Backend; S3Backend(**eval(sys.argv[1])).get"
        "(sys.argv[2])"
    )
    settings = {"endpoint_url": proxy.endpoint, "packed": True, "cache_dir": str(tmp_path / "cache")}
    command = [sys.executable, "-c", script, repr(settings), f"{packed}/images/3/a b+333.jpg"]
    env = {**os.environ, RUN_STARTED: str(time.time())}
    subprocess.run(command, env=env, check=True)
    first = proxy.requests["GET"]
    subprocess.run(command, env=env, check=True)

    assert first == 4
    assert proxy.requests["GET"] == first

    subprocess.run(command, env={**env, RUN_STARTED: str(time.time())}, check=True)
    assert proxy.requests["GET"] == first + 3, "a new run looks anew, and finds the images where they were"


@pytest.mark.slow
def test_a_full_disk_costs_no_more_than_no_cache(
    packed: str, proxy: S3Proxy, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reading = backend(proxy, cache_dir=str(small_disk / "cache"))

    assert all(reading.get(f"{packed}/{name}") == IMAGES[name] for name in shuffled())
    assert proxy.requests["GET"] < NUM_IMAGES + 15
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"The cache in {small_disk / 'cache'} cannot be used (No space left on device); going on without it."
    ]


@pytest.mark.slow
def test_a_damaged_block_in_the_cache_is_fetched_anew(packed: str, proxy: S3Proxy, tmp_path: Path) -> None:
    reading = backend(proxy, cache_dir=str(tmp_path / "cache"))
    names = list(IMAGES)[:2]
    reading.get(f"{packed}/{names[0]}")
    (block,) = (path for path in (tmp_path / "cache").glob("??/*"))
    for damaged in (block.read_bytes()[:1000], bytes(block.stat().st_size), b""):
        block.write_bytes(damaged)
        before = proxy.requests["GET"]
        assert all(reading.get(f"{packed}/{name}") == IMAGES[name] for name in names)
        assert proxy.requests["GET"] == before + 1


@pytest.mark.slow
@pytest.mark.parametrize("cache", [{"cache_dir": None}, {"cache_size_gb": 1e-6}])
def test_without_room_for_it_each_image_is_a_request(
    cache: dict[str, Any], packed: str, proxy: S3Proxy, tmp_path: Path
) -> None:
    reading = backend(proxy, **{"cache_dir": str(tmp_path / "cache"), **cache})
    names = shuffled()[:20]

    assert all(reading.get(f"{packed}/{name}") == IMAGES[name] for name in names)
    assert 20 <= proxy.requests["GET"] <= 20 + 15


@pytest.mark.slow
def test_packs_that_would_push_each_other_out_share_no_cache(
    packed: str, bucket: str, s3_settings: S3Settings, proxy: S3Proxy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first of a run has the cache; the images of the second are requests of their own, in every process."""
    writer = PackWriter(S3Uri.parse(f"{bucket}/q"), s3_settings, shard_bytes=10**9, scratch=tmp_path)
    writer.write(list(IMAGES), IMAGES.__getitem__)
    size_gb = 1.5 * sum(map(len, IMAGES.values())) / 1e9
    # Of every block some: fifty by chance leave one of the eight out in one run of a hundred.
    names = sorted(list(IMAGES)[:: NUM_IMAGES // 50], key=hash)
    for process in range(2):
        # Other settings stand for another process: it finds both packs anew.
        settings = {"cache_dir": str(tmp_path / "cache"), "cache_size_gb": size_gb, "max_connections": 8 + process}
        reading = backend(proxy, **settings)
        for root in (packed, f"{bucket}/q") if process == 0 else (f"{bucket}/q", packed):
            for _ in range(2):
                assert all(reading.get(f"{root}/{name}") == IMAGES[name] for name in names)

    assert len(list((tmp_path / "cache").glob("??/*"))) == 8, "all blocks of the first pack, and none of the second"
    lookups = 2 * 4
    assert proxy.requests["GET"] <= 8 + 2 * 2 * len(names) + 2 * 5 * lookups
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith(f"The pack {bucket}/q has 0.00162 GB beside 0.00162 GB of other packs, which the cache")
    assert warning.endswith("each of its images is a request of its own. Type storage.cache_size_gb=0.0037")


@pytest.mark.slow
def test_what_is_not_in_the_pack_is_read_beside_it(packed: str, proxy: S3Proxy) -> None:
    assert backend(proxy).get(f"{packed}/annotations/train.json") == b"{}"
    with pytest.raises(S3NotFoundError):
        backend(proxy).get(f"{packed}/images/none.jpg")


@pytest.mark.slow
def test_a_pack_is_looked_at_as_a_folder(packed: str, s3_settings: S3Settings) -> None:
    set_default_settings(replace(s3_settings, packed=True))
    images = as_path(f"{packed}/images/0")

    assert images.is_dir()
    assert sorted(path.name for path in images.iterdir()) == sorted(f"a b+{number}.jpg" for number in range(100))
    assert (images / "a b+7.jpg").stat().st_size == 3007
    assert (images / "a b+7.jpg").read_bytes() == IMAGES["images/0/a b+7.jpg"]
    assert {path.name for path in as_path(packed).iterdir()} == {"annotations", "images", "pack"}


@pytest.mark.slow
def test_a_damaged_image_is_named(packed: str, bucket: str, proxy: S3Proxy) -> None:
    (shard,) = (name for name in fileio.list_dir_or_file(f"{packed}/pack") if name.endswith("-00000.shard"))
    fileio.put(bytes(len(fileio.get(f"{packed}/pack/{shard}"))), f"{packed}/pack/{shard}")

    with pytest.raises(S3Error, match="of the pack s3://.*/p is damaged"):
        backend(proxy).get(f"{packed}/{next(iter(IMAGES))}")


@pytest.mark.slow
def test_packing_again_replaces_the_pack(packed: str, s3_settings: S3Settings, proxy: S3Proxy, tmp_path: Path) -> None:
    PackWriter(S3Uri.parse(packed), s3_settings, 10**9, tmp_path).write(["x.jpg"], lambda name: b"new")

    assert backend(proxy).get(f"{packed}/x.jpg") == b"new"
    assert len([name for name in fileio.list_dir_or_file(f"{packed}/pack") if name.endswith(".shard")]) == 1


def test_an_index_cut_off_is_refused() -> None:
    content = write_index("abcdefgh", ["a"], [(0, 0, 5, 1)], [(0, 0, 5, 0, 1)])

    assert PackIndex(content).find("a") == 0 and PackIndex(content).find("b") is None
    for size in (0, 10, len(content) - 1):
        with pytest.raises(ValueError, match="cut off"):
            PackIndex(content[:size])


def test_settings_name_a_pack(s3_settings: S3Settings) -> None:
    assert asdict(replace(s3_settings, packed=True))["packed"] is True
