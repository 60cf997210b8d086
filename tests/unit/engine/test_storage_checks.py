"""The doctor's look at S3: what may be done, and the precise failure where it may not."""

from __future__ import annotations

import re
from dataclasses import replace

import mmengine.fileio as fileio
import pytest
from s3_proxy import Fault, S3Proxy

from vision_research.engine.check import Check
from vision_research.engine.storage_checks import s3_checks
from vision_research.storage.s3.settings import S3Settings


def looked_at(key: str, address: str, settings: S3Settings) -> dict[str, Check]:
    return {check.name.split()[1]: check for check in s3_checks({key: address, "other": "/disk"}, settings)}


def test_an_empty_folder_can_be_written(bucket: str, s3_settings: S3Settings) -> None:
    found = looked_at("work_dir", f"{bucket}/runs", s3_settings)

    assert [check.ok for check in found.values()] == [True, True, True]
    assert found["read"].found == "no object to read is there"
    assert list(fileio.list_dir_or_file(bucket, list_dir=False, recursive=True)) == [], "the scratch object is gone"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault.denied, r"Access denied: s3:(ListBucket|PutObject) on s3://bucket-\d+/runs"),
        (Fault.skewed, "this machine's clock is wrong"),
        (Fault.elsewhere, "Type: storage.region=eu-south-2"),
        (Fault.expired, "have expired"),
        (Fault.unavailable, "for 0.2 s .*Is the server up?"),
    ],
)
def test_a_refusal_is_told_for_each_action(fault: Fault, said: str, bucket: str, s3_settings: S3Settings) -> None:
    with S3Proxy(str(s3_settings.endpoint_url)) as proxy:
        proxy.fault = lambda method, path: fault
        settings = replace(s3_settings, endpoint_url=proxy.endpoint, give_up_after_s=0.2)
        found = looked_at("work_dir", f"{bucket}/runs", settings)

    for action in ("list", "write"):
        assert re.search(said, found[action].found)
        assert found[action].refuses


def test_data_need_not_be_written(bucket: str, s3_settings: S3Settings) -> None:
    fileio.put(b"12345", f"{bucket}/coco/image.jpg")
    with S3Proxy(str(s3_settings.endpoint_url)) as proxy:
        proxy.fault = lambda method, path: Fault.denied if method == "PUT" else Fault.none
        found = looked_at("data.root", f"{bucket}/coco", replace(s3_settings, endpoint_url=proxy.endpoint))

    assert [check.ok for check in found.values()] == [True, True, False]
    assert found["write"].found.startswith("Access denied: s3:PutObject on ")
    assert not found["write"].refuses
