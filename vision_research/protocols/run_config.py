"""The configuration of a run and the traits of its detector, for tasks and feeds."""

from __future__ import annotations

from dataclasses import dataclass

from vision_research.config.schema import DataConfig, TrainConfig
from vision_research.config.traits import DetectorTraits


@dataclass(frozen=True)
class RunConfig:
    """The configuration of a run.

    Attributes:
        config: the typed tree.
        traits: of its detector.
    """

    config: TrainConfig
    traits: DetectorTraits

    @property
    def data(self) -> DataConfig:
        """The `data` group."""
        return self.config.data
