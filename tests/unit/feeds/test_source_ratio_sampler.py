"""Batches of several sources: their ratio, what an epoch is, and an order that a resume finds again."""

from __future__ import annotations

from itertools import islice

import pytest
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from vision_research.engine.skip_batches import BatchStream
from vision_research.feeds.unlabelled import dataset as source_ratio_sampler
from vision_research.feeds.unlabelled.dataset import SourceRatioSampler


class Numbers(Dataset[int]):
    """So many numbers from the first on."""

    def __init__(self, first: int, size: int) -> None:
        self.first, self.size = first, size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        return self.first + index


SOURCES: ConcatDataset[int] = ConcatDataset([Numbers(0, 6), Numbers(100, 20)])


def loader(infinite: bool = False, batch_size: int = 5, ratio: tuple[int, int] = (1, 4)) -> DataLoader[int]:
    sampler = SourceRatioSampler(SOURCES, batch_size, list(ratio), infinite=infinite, seed=3)
    return DataLoader(SOURCES, batch_size=batch_size, sampler=sampler, collate_fn=list)


def test_every_batch_has_the_ratio_and_an_epoch_every_image_of_the_first_source() -> None:
    batches = list(loader())
    assert len(batches) == len(loader()) == 6
    assert sorted(batch[0] for batch in batches) == [0, 1, 2, 3, 4, 5]
    assert all(min(batch[1:]) >= 100 and len(batch) == 5 for batch in batches)
    seen = [number for batch in batches for number in batch[1:]]
    assert sorted(seen[:20]) == list(range(100, 120)), "all of a source before one of it again"


def test_the_next_epoch_goes_on_in_the_second_source_in_another_order() -> None:
    epochs = loader()
    first = list(epochs)
    epochs.sampler.set_epoch(1)  # type: ignore[attr-defined]
    second = list(epochs)
    assert [batch[0] for batch in first] != [batch[0] for batch in second]
    seen = [number for batch in [*first, *second] for number in batch[1:]]
    assert sorted(seen[20:40]) == list(range(100, 120))
    assert first == list(loader()), "of seed and epoch alone"


def test_a_batch_that_the_ratio_does_not_part_gives_the_rest_to_the_first_source() -> None:
    assert [sum(number < 100 for number in batch) for batch in loader(batch_size=6)] == [2, 2, 2]


@pytest.mark.parametrize("done", [4, 6, 17])
def test_a_training_in_iterations_goes_on_where_it_was(done: int) -> None:
    endless = iter(loader(infinite=True))
    expected = [next(endless) for _ in range(done + 8)]
    stream = BatchStream(loader(infinite=True), num_done=done)
    assert [next(stream) for _ in range(8)] == expected[done:]


def test_ranks_share_the_images_of_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = []
    for rank in (0, 1):
        monkeypatch.setattr(source_ratio_sampler, "get_dist_info", lambda rank=rank: (rank, 2))
        batches += list(loader())
    assert len(batches) == 6
    assert sorted(batch[0] for batch in batches) == [0, 1, 2, 3, 4, 5]
    assert len({number for batch in batches for number in batch[1:]}) == 20


def test_the_order_of_the_images_is_that_of_the_files_without_shuffling() -> None:
    sampler = SourceRatioSampler(SOURCES, 3, [1, 2], shuffle=False, seed=0)
    assert list(islice(sampler, 6)) == [0, 6, 7, 1, 8, 9]
