from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import DataLoader

from vision_research.engine.skip_batches import BatchStream, iterate_from


class Numbers(torch.utils.data.Dataset[int]):
    """Ten numbers; notes which were asked for."""

    def __init__(self) -> None:
        self.loaded: list[int] = []

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> int:
        self.loaded.append(index)
        return index


def loader(sampler_class: Any, workers: int = 0) -> DataLoader[int]:
    dataset = Numbers()
    persistent = {"persistent_workers": True} if workers else {}
    sampler = sampler_class(dataset, shuffle=True, seed=0)
    return DataLoader(dataset, batch_size=2, sampler=sampler, num_workers=workers, collate_fn=list, **persistent)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_batches_passed_over_are_not_loaded_and_the_next_epoch_is_whole(workers: int) -> None:
    whole = list(loader(DefaultSampler))
    resumed = loader(DefaultSampler, workers)

    assert list(iterate_from(resumed, 3)) == whole[3:]
    if not workers:
        assert resumed.dataset.loaded == sum(whole[3:], [])
    assert list(resumed) == whole
    resumed._iterator = None


def test_a_stream_does_nothing_for_the_steps_by_which_the_loop_would_advance_it() -> None:
    endless = iter(loader(InfiniteSampler))
    expected = [next(endless) for _ in range(9)]
    stream = BatchStream(loader(InfiniteSampler), num_done=4, num_ignored=4)

    assert [next(stream) for _ in range(4)] == [None] * 4
    assert [next(stream) for _ in range(5)] == expected[4:]


def test_the_fork_of_mmengine_advances_by_a_call_of_its_own() -> None:
    endless = iter(loader(InfiniteSampler))
    expected = [next(endless) for _ in range(6)]
    stream = BatchStream(loader(InfiniteSampler), num_done=4, num_ignored=4)
    stream.skip_iter(4)

    assert [next(stream), next(stream)] == expected[4:]


def test_starting_a_stream_leaves_the_global_random_generator_alone() -> None:
    stream = BatchStream(loader(InfiniteSampler), num_done=4)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    next(stream)

    assert torch.equal(torch.rand(1), expected)


def test_a_finite_order_goes_on_with_the_next_epoch() -> None:
    source = loader(DefaultSampler)
    first = list(source)
    source.sampler.set_epoch(1)
    second = list(source)
    stream = BatchStream(loader(DefaultSampler), num_done=3)

    assert [next(stream) for _ in range(7)] == first[3:] + second
    assert [next(BatchStream(loader(DefaultSampler), num_done=6))] == second[1:2]
