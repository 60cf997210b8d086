"""Checks lists of crops: text files with a line `<file> <identity>` per crop, for MMDetection's ReIDDataset."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vision_research.config.addresses import join
from vision_research.config.errors import ConfigError
from vision_research.datasets.annotation_format import SplitFiles
from vision_research.datasets.facts import DatasetFacts
from vision_research.datasets.image_files import missing_path_problem
from vision_research.storage.s3.path import as_path

# MMDetection's metric ranks this number of nearest crops, and fails where there are fewer.
RANKED = 20
# 8 identities with 4 crops each per iteration, as in every file of the zoo (arXiv:1703.07737).
DRAWN = {"num_ids": 8, "ins_per_id": 4}


def gather_identities(address: str, splits: Sequence[SplitFiles]) -> DatasetFacts:
    """Read and check the lists of crops.

    Args:
        address: folder that the files are relative to.
        splits: files to read.

    Returns:
        The facts; `classes` are the identities of the training split, if it is among the splits.

    Raises:
        ConfigError: all problems, each with the key and what to type.
    """
    root = as_path(address)
    if not root.is_dir():
        raise ConfigError(missing_path_problem("data.root", root.absolute(), "folder", Path.cwd()))
    problems: list[str] = []
    found: dict[str, Counter[int]] = {}
    digest = hashlib.sha256()
    for split in splits:
        file = as_path(join(str(root), split.ann))
        if not file.is_file():
            problems.append(missing_path_problem(split.key, file, "file", Path.cwd()))
            continue
        text = file.read_text()
        digest.update(f"{split.name} {text}".encode())
        crops, wrong = _parsed(text)
        found[split.name] = Counter(crops.values())
        folder = split.image_root(root)
        absent = [name for name in crops if not (folder / name).is_file()]
        problems += [f"{split.key}={file}: {problem}" for problem in _wrong(wrong, absent, folder)]
    if problems := problems or list(_unfit(found, {split.name: split.ann for split in splits})):
        raise ConfigError(problems)
    return DatasetFacts(
        classes=tuple(map(str, range(max(found["train"]) + 1))) if "train" in found else (),
        counts={name: identities.total() for name, identities in found.items()},
        digest=digest.hexdigest()[:16],
    )


def _parsed(text: str) -> tuple[dict[str, int], list[str]]:
    """Return the identity of each crop, and the malformed lines."""
    crops: dict[str, int] = {}
    wrong = []
    for line in text.splitlines():
        # MMDetection splits a line at its only space.
        name, _, identity = line.strip().partition(" ")
        if name and identity.isascii() and identity.isdigit():
            crops[name] = int(identity)
        else:
            wrong.append(line)
    return crops, wrong


def _wrong(lines: list[str], absent: list[str], folder: Path) -> Iterator[str]:
    if lines:
        yield f"{len(lines)} lines are no `<file> <identity>` with a number from 0 on, for example {lines[0]!r}"
    if absent:
        yield (
            f"{len(absent)} crops are not in {folder}, for example {absent[0]}. Type data.img_prefix=FOLDER for the "
            "folder that they are in"
        )


def _unfit(found: Mapping[str, Counter[int]], anns: Mapping[str, str]) -> Iterator[str]:
    train, num_drawn = found.get("train"), DRAWN["num_ids"]
    if train is not None and len(train) < num_drawn:
        yield (
            f"data.train_ann={anns['train']}: has {len(train)} identities, and a training step compares {num_drawn}. "
            "Type a list with more"
        )
    elif train is not None and sorted(train) != list(range(len(train))):
        yield (
            f"data.train_ann={anns['train']}: its {len(train)} identities go up to {max(train)}. Number them 0, 1, "
            f"..., {len(train) - 1}: the detector has one output for each"
        )
    for split, identities in found.items():
        if split != "train" and identities.total() <= RANKED:
            yield (
                f"data.{split}_ann={anns[split]}: has {identities.total()} crops, and the score looks at the "
                f"{RANKED} nearest to each. Type a list with more"
            )
        if split != "train" and not any(count > 1 for count in identities.values()):
            yield f"data.{split}_ann={anns[split]}: no identity is on two crops, so there is nothing to find again"
