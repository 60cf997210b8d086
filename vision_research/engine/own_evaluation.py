"""Evaluates a detector as its training did: the config's own loader and evaluator, for what boxes alone do not say.

Tracks are scored over whole videos and panoptic maps over every pixel, so neither can stand beside exported models.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vision_research.datasets.proposals import Proposals
from vision_research.engine.console import quiet_platform
from vision_research.engine.evaluate import typical_s
from vision_research.engine.progress_bar import Count


@dataclass(frozen=True)
class OwnScores:
    """What a detector did.

    Attributes:
        values: metric values by the evaluator's name, without the prefix of its metric.
        latency_s: median seconds a batch of the loader, from the loaded images to what was found.
        found: boxes by the id of their image; empty unless they were kept.
    """

    values: dict[str, float]
    latency_s: float
    found: dict[int, Proposals]


class OwnEvaluation:
    """A loader and an evaluator, built.

    Args:
        loader: config of the loader; its images are loaded in this process.
        evaluator: config of the evaluator.
    """

    def __init__(self, loader: dict[str, Any], evaluator: Any) -> None:
        from mmengine.evaluator import Evaluator
        from mmengine.runner import Runner

        with quiet_platform():
            alone = {**loader, "num_workers": 0, "persistent_workers": False}
            self._loader = Runner.build_dataloader(alone)
            self._evaluator = Evaluator(evaluator)
        self._evaluator.dataset_meta = self._loader.dataset.metainfo

    def __len__(self) -> int:
        """Count the batches."""
        return len(self._loader)

    @torch.no_grad()
    def score(self, detector: Any, count: Count, keep: bool = False) -> OwnScores:
        """Run a detector over the loader, and score it.

        Args:
            detector: in evaluation mode.
            count: is advanced by every batch.
            keep: whether to return what was found, too.
        """
        seconds = []
        kept: dict[int, Proposals] = {}
        for batch in self._loader:
            started = time.perf_counter()
            found = detector.val_step(batch)
            seconds.append(time.perf_counter() - started)
            if keep:
                kept |= {one.img_id: _proposals(one) for one in found}
            self._evaluator.process(data_samples=found, data_batch=batch)
            count.advance()
        with quiet_platform():
            scores = self._evaluator.evaluate(len(self._loader.dataset))
        values = {name.partition("/")[2] or name: float(value) for name, value in scores.items()}
        return OwnScores(values, typical_s(seconds), kept)


def _proposals(sample: Any) -> Proposals:
    found = sample.pred_instances
    return Proposals(Path(sample.img_path).name, found.bboxes.cpu().numpy(), found.scores.cpu().numpy())
