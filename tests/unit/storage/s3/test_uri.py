from __future__ import annotations

from pathlib import Path

import pytest

from vision_research.config.addresses import is_s3
from vision_research.storage.s3.uri import S3Uri


@pytest.mark.parametrize(
    ("address", "bucket", "key"),
    [
        ("s3://b/k", "b", "k"),
        ("s3://b", "b", ""),
        ("s3://b/", "b", ""),
        ("s3://b/a/folder/", "b", "a/folder"),
        ("s3://b/a b+c#d%20é?.jpg", "b", "a b+c#d%20é?.jpg"),
        (Path("s3://b/k/l"), "b", "k/l"),
        ("s3://b/coco/../lvis/./images/", "b", "lvis/images"),
        ("s3://b/coco/.hidden/..x", "b", "coco/.hidden/..x"),
    ],
)
def test_an_address_is_bucket_and_key_as_they_stand(address: str | Path, bucket: str, key: str) -> None:
    assert S3Uri.parse(address) == S3Uri(bucket, key)
    assert is_s3(address)


@pytest.mark.parametrize("address", ["data/coco", "/data", "http://b/k", "s3:", "s3://", "xs3://b/k"])
def test_what_is_no_address_is_refused(address: str) -> None:
    assert not is_s3(address)
    with pytest.raises(ValueError, match=r"is no address in S3; write s3://BUCKET/KEY"):
        S3Uri.parse(address)


def test_children_and_names() -> None:
    folder = S3Uri.parse("s3://b/a/folder/")

    assert str(folder.child("x/y.jpg")) == "s3://b/a/folder/x/y.jpg"
    assert str(S3Uri("b").child("x")) == "s3://b/x"
    assert folder.child("x/y.jpg").name == "y.jpg"
    assert (folder.folder_prefix, S3Uri("b").folder_prefix) == ("a/folder/", "")
