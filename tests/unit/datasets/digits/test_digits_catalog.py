"""The bytes of every embedded data set: measured results hold for them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vision_research.config.schema import DataKind
from vision_research.registry import EMBEDDED, make_embedded

# Of a tiny variant of each: counts, number of files, and the beginning of the SHA-256 of all paths and contents, as the
# versions in constraints.txt write them on x86-64. Other bytes are another data set: raise its version, and its
# `data.root` in conf/data/.
TINY = {
    "digits": ({"train": 3, "val": 1, "test": 1}, 9, "b9fefcdec9199709"),
    "digits_panoptic": ({"train": 3, "val": 1, "test": 1}, 17, "4fbbc77693b5d8d7"),
    "digits_reid": ({"train": 2, "val": 1}, 131, "b94b1da84669cd11"),
    "digits_semi": ({"train": 6, "val": 1, "test": 1}, 13, "82cc96a1fe133e45"),
    "digits_video": ({"train": 1, "val": 1}, 51, "1902503b3bc70dcb"),
}


def test_every_data_set_has_a_checksum() -> None:
    assert EMBEDDED.keys() == TINY.keys()


def test_every_embedded_kind_of_data_can_be_made() -> None:
    assert {kind.value for kind in DataKind if kind.is_embedded} == EMBEDDED.keys()


@pytest.mark.parametrize("name", TINY)
def test_the_same_bytes_are_made_every_time(
    tmp_path: Path, digest: Callable[[Path], dict[str, str]], name: str
) -> None:
    counts, num_files, checksum = TINY[name]
    files = digest(make_embedded(name, tmp_path / "first", **counts))

    assert digest(make_embedded(name, tmp_path / "second", **counts)) == files
    assert len(files) == num_files
    assert hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16] == checksum


def test_finding_a_data_set_loads_nothing_that_draws() -> None:
    probe = (
        "import sys, vision_research.registry; "
        "print([name for name in ('numpy', 'cv2', 'sklearn', 'torch', 'mmdet') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_images_and_boxes_of_the_variants_are_those_of_the_digits(
    tmp_path: Path, digest: Callable[[Path], dict[str, str]]
) -> None:
    counts = {"train": 3, "val": 1, "test": 1}
    plain = digest(make_embedded("digits", tmp_path / "digits", **counts))
    with_maps = digest(make_embedded("digits_panoptic", tmp_path / "maps", **counts))
    partly_labelled = digest(make_embedded("digits_semi", tmp_path / "semi", **counts))

    del plain["digits.json"]
    assert plain.items() <= with_maps.items()
    del plain["annotations/train.json"]
    assert plain.items() <= partly_labelled.items()
