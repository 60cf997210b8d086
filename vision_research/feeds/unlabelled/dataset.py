"""A data set of images without annotations, and a sampler that adds them to the batches of labelled ones.

Importing this module registers `UnlabelledDataset` and `SourceRatioSampler`, and loads torch. The order of the sampler
follows from seed and epoch alone, so that a resumed training goes on in it by counting (`skip_batches`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import torch
from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.fileio import get_text
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from vision_research.config.addresses import join
from vision_research.feeds.unlabelled.feed import images_per_source


@DATASETS.register_module()
class UnlabelledDataset(BaseDetDataset):
    """The `images` of a COCO file.

    MMDetection's CocoDataset requires `categories`, which COCO's own `image_info_unlabeled2017.json` lacks.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """Return for each image `img_id`, `img_path`, `height` and `width` in pixels, and empty `instances`."""
        images = json.loads(get_text(self.ann_file, backend_args=self.backend_args))["images"]
        return [
            {
                "img_id": image["id"],
                "img_path": join(self.data_prefix["img"], image["file_name"]),
                "height": image["height"],
                "width": image["width"],
                "instances": [],
            }
            for image in images
        ]


@DATA_SAMPLERS.register_module()
class SourceRatioSampler(Sampler[int]):
    """Samples batches with a fixed number of images of each source, in the order of the sources.

    An epoch contains every image of the first source once. Each source is shuffled again whenever all of its images
    were used, which need not be at the end of an epoch.

    Args:
        dataset: a `ConcatDataset`.
        batch_size: images per rank and iteration, as the loader has it.
        source_ratio: relative number of images of each source.
        infinite: never end, for a training whose length is in iterations.
        shuffle: whether the orders are random.
        seed: of the orders; None uses a random seed that all ranks share.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        source_ratio: list[int],
        infinite: bool = False,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        self._rank, self._world_size = get_dist_info()
        self._batch_size = batch_size
        self._sizes = [len(source) for source in dataset.datasets]
        self._counts = images_per_source(batch_size, list(source_ratio))
        self._infinite = infinite
        self._shuffle = shuffle
        self._seed = int(sync_random_seed() if seed is None else seed)
        self._epoch = 0
        self._num_batches: int = max(1, -(-self._sizes[0] // (self._counts[0] * self._world_size)))

    def __len__(self) -> int:
        """Return the number of images of all sources in an epoch on this rank."""
        return self._num_batches * self._batch_size

    def __iter__(self) -> Iterator[int]:
        """Yield indices into the concatenation, batch after batch."""
        orders: dict[int, tuple[int, list[int]]] = {}
        for batch in count() if self._infinite else range(self._num_batches):
            number = (self._epoch * self._num_batches + batch) * self._world_size + self._rank
            for source, wanted in enumerate(self._counts):
                first = sum(self._sizes[:source])
                for place in range(number * wanted, (number + 1) * wanted):
                    turn, index = divmod(place, self._sizes[source])
                    if orders.get(source, (-1,))[0] != turn:
                        orders[source] = (turn, self._order(source, turn))
                    yield first + orders[source][1][index]

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch at which the next iteration starts."""
        self._epoch = epoch

    def _order(self, source: int, turn: int) -> list[int]:
        if not self._shuffle:
            return list(range(self._sizes[source]))
        generator = torch.Generator()
        # Sources of equal size need different orders; torch accepts seeds below 2**63.
        generator.manual_seed((self._seed * 1_000_003 + source * 7919 + turn) % 2**63)
        order: list[int] = torch.randperm(self._sizes[source], generator=generator).tolist()
        return order
