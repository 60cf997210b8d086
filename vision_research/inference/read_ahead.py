"""Reads items in threads, some items ahead of their use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

# Threads help because OpenCV releases the interpreter lock while it decodes.
_NUM_AHEAD = 4

Item = TypeVar("Item")
Content = TypeVar("Content")


def read_ahead(read: Callable[[Item], Content], items: Iterable[Item]) -> Iterator[Content]:
    """Yield what a function reads for each item, in the order of the items.

    Args:
        read: called in threads, for a few items ahead of the one that is yielded.
        items: its arguments.
    """
    coming = iter(items)
    with ThreadPoolExecutor(_NUM_AHEAD) as pool:
        waiting = [pool.submit(read, item) for item in islice(coming, _NUM_AHEAD)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(read, item) for item in islice(coming, 1)]
