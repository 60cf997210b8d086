"""Evaluates a detector with the data loader and the evaluator of its config, as its training does.

This is for tasks that are scored over whole videos or over every pixel, which exported models do not support.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vision_research.console.progress_bar import Count
from vision_research.console.quiet import quiet_platform
from vision_research.inference.evaluate import median_latency_s
from vision_research.protocols import Results


@dataclass(frozen=True)
class ScoredAsTrained:
    """The scores and the latency of a detector.

    Attributes:
        values: metric values by the evaluator's names, without the prefix of the metric.
        latency_s: median time for a batch of the loader, seconds, from the loaded images to the predictions.
    """

    values: dict[str, float]
    latency_s: float


class TrainedEvaluation:
    """Builds a loader and an evaluator, and scores detectors with them.

    Args:
        loader: config of the loader; it loads images in this process.
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
    def score(self, detector: Any, count: Count, writers: Sequence[Results] = ()) -> ScoredAsTrained:
        """Run a detector on all batches of the loader, and score it.

        Args:
            detector: a detector in evaluation mode.
            count: is advanced by every batch.
            writers: get every data sample with its predictions.
        """
        seconds = []
        for batch in self._loader:
            started = time.perf_counter()
            found = detector.val_step(batch)
            seconds.append(time.perf_counter() - started)
            for writer in writers:
                for sample in found:
                    writer.take(sample)
            self._evaluator.process(data_samples=found, data_batch=batch)
            count.advance()
        with quiet_platform():
            scores = self._evaluator.evaluate(len(self._loader.dataset))
        values = {name.partition("/")[2] or name: float(value) for name, value in scores.items()}
        return ScoredAsTrained(values, median_latency_s(seconds))
