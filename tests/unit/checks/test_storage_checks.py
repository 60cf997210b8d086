"""The doctor's look at S3: what may be done, and the precise failure where it may not."""

from __future__ import annotations

import re
from dataclasses import replace

import mmengine.fileio as fileio
import pytest
from s3_proxy import Fault, S3Proxy

from vision_research.checks.check import Check
from vision_research.checks.environment import s3_checks
from vision_research.storage.s3.settings import S3Settings


def looked_at(key: str, address: str, settings: S3Settings) -> dict[str, Check]:
    return {check.name.split()[1]: check for check in s3_checks({key: address, "other": "/disk"}, settings)}


def test_an_empty_folder_can_be_written(bucket: str, s3_settings: S3Settings) -> None:
    found = looked_at("work_dir", f"{bucket}/runs", s3_settings)

    assert [check.ok for check in found.values()] == [True, True, True]
    assert found["read"].found == "no object to read is there"
    assert list(fileio.list_dir_or_file(bucket, list_dir=False, recursive=True)) == [], "the scratch object is gone"


def refused(fault: Fault, bucket: str, s3_settings: S3Settings) -> dict[str, Check]:
    with S3Proxy(str(s3_settings.endpoint_url)) as proxy:
        proxy.fault = lambda method, path: fault
        settings = replace(s3_settings, endpoint_url=proxy.endpoint, give_up_after_s=0.2)
        return looked_at("work_dir", f"{bucket}/runs", settings)


@pytest.mark.slow
def test_what_is_denied_is_told_for_each_action(bucket: str, s3_settings: S3Settings) -> None:
    found = refused(Fault.denied, bucket, s3_settings)

    for action, permission in (("list", "ListBucket"), ("read", "ListBucket"), ("write", "PutObject")):
        assert re.match(rf"Access denied: s3:{permission} on s3://bucket-\d+/runs", found[action].found)
        assert found[action].refuses


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault.skewed, "this machine's clock is wrong"),
        (Fault.elsewhere, "Type: storage.region=eu-south-2"),
        (Fault.expired, "have expired"),
        (Fault.unavailable, "for 0.2 s .*Is the server up?"),
    ],
)
def test_what_every_action_would_meet_is_told_once(
    fault: Fault, said: str, bucket: str, s3_settings: S3Settings
) -> None:
    found = refused(fault, bucket, s3_settings)

    assert list(found) == ["list"]
    assert re.search(said, found["list"].found)
    assert found["list"].refuses


def test_a_bucket_that_does_not_exist_is_not_made(bucket: str, s3_settings: S3Settings) -> None:
    for _ in range(2):
        (check,) = looked_at("data.root", "s3://no-such-bucket/coco", s3_settings).values()
        assert check.found.startswith("There is no bucket 'no-such-bucket'")


@pytest.mark.slow
def test_data_need_not_be_written(bucket: str, s3_settings: S3Settings) -> None:
    fileio.put(b"12345", f"{bucket}/coco/image.jpg")
    with S3Proxy(str(s3_settings.endpoint_url)) as proxy:
        proxy.fault = lambda method, path: Fault.denied if method == "PUT" else Fault.none
        found = looked_at("data.root", f"{bucket}/coco", replace(s3_settings, endpoint_url=proxy.endpoint))

    assert [check.ok for check in found.values()] == [True, True, False]
    assert found["write"].found.startswith("Access denied: s3:PutObject on ")
    assert not found["write"].refuses
