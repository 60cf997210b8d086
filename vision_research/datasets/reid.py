"""Looks at crops with identities before anything is trained on them: a text file with `<file> <identity>` a line.

Says in words what MMDetection's ReIDDataset would stumble over. Standard library only.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from vision_research.config.addresses import join
from vision_research.config.errors import ConfigError
from vision_research.datasets.facts import DatasetFacts
from vision_research.datasets.image_files import missing_path_problem


def gather_reid_facts(
    root: Path,
    anns: dict[str, str],
    prefixes: dict[str, str],
    num_drawn: int,
    num_ranked: int,
    as_path: Callable[[str], Path] = Path,
) -> DatasetFacts:
    """Read the lists of crops.

    Args:
        root: folder that the other paths are relative to.
        anns: list of each split: `train`, `val` and perhaps `test`.
        prefixes: folder of the crops of each split.
        num_drawn: identities that a training step compares; the training split has to have as many.
        num_ranked: crops nearest to one that the score looks at; the other splits have to have more.
        as_path: makes a path of an address; it knows the addresses that are not of this machine.

    Returns:
        The facts; `classes` are the identities of the training split.

    Raises:
        ConfigError: everything that is wrong, each with the key and what to type.
    """
    if not root.is_dir():
        raise ConfigError(missing_path_problem("data.root", root.absolute(), "folder", Path.cwd()))
    problems: list[str] = []
    found: dict[str, Counter[int]] = {}
    digest = hashlib.sha256()
    for split, ann in anns.items():
        key, file = f"data.{split}_ann", as_path(join(str(root), ann))
        if not file.is_file():
            problems.append(missing_path_problem(key, file, "file", Path.cwd()))
            continue
        text = file.read_text()
        digest.update(f"{split} {text}".encode())
        crops, wrong = _parsed(text)
        found[split] = Counter(crops.values())
        folder = as_path(join(str(root), prefixes[split]))
        absent = [name for name in crops if not (folder / name).is_file()]
        problems += [f"{key}={file}: {problem}" for problem in _wrong(wrong, absent, folder)]
    problems += [] if problems else list(_unfit(found, anns, num_drawn, num_ranked))
    if problems:
        raise ConfigError(problems)
    return DatasetFacts(
        classes=tuple(map(str, range(max(found["train"]) + 1))),
        num_train=found["train"].total(),
        num_val=found["val"].total(),
        num_test=found["test"].total() if "test" in found else None,
        digest=digest.hexdigest()[:16],
        warnings=(),
    )


def _parsed(text: str) -> tuple[dict[str, int], list[str]]:
    """Return the identity of each crop, and the lines that say none."""
    crops: dict[str, int] = {}
    wrong = []
    for line in text.splitlines():
        # MMDetection parts a line at its one space.
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


def _unfit(found: dict[str, Counter[int]], anns: dict[str, str], num_drawn: int, num_ranked: int) -> Iterator[str]:
    train = found["train"]
    if len(train) < num_drawn:
        yield (
            f"data.train_ann={anns['train']}: has {len(train)} identities, and a training step compares {num_drawn}. "
            "Type a list with more"
        )
    elif sorted(train) != list(range(len(train))):
        yield (
            f"data.train_ann={anns['train']}: its {len(train)} identities go up to {max(train)}. Number them 0, 1, "
            f"..., {len(train) - 1}: the detector has one output for each"
        )
    for split, identities in found.items():
        if split != "train" and identities.total() <= num_ranked:
            yield (
                f"data.{split}_ann={anns[split]}: has {identities.total()} crops, and the score looks at the "
                f"{num_ranked} nearest to each. Type a list with more"
            )
        if split != "train" and not any(count > 1 for count in identities.values()):
            yield f"data.{split}_ann={anns[split]}: no identity is on two crops, so there is nothing to find again"
