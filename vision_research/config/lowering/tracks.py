"""Lowers video for trackers: data sets that know which frames belong together, and the metrics of MOTChallenge.

The same annotations (CocoVID JSON) train a detector frame by frame; that a pipeline packs tracks decides which it is.
"""

from __future__ import annotations

from typing import Any

from vision_research.config.dataset_tree import pipelines
from vision_research.config.schema import DataKind

# HOTA (arXiv:2009.07736), CLEAR MOT (doi:10.1155/2008/246309) and IDF1 (arXiv:1609.01775), as TrackEval computes them.
METRIC = {"type": "MOTChallengeMetric", "metric": ["HOTA", "CLEAR", "Identity"]}
SAMPLER = {"type": "TrackImgSampler"}
VIDEO_KINDS = (DataKind.mot, DataKind.digits_video)


def gives_tracks(frame: dict[str, Any]) -> bool:
    """Tell whether the pipelines of a frame pack videos with tracks."""
    return any(step["type"] == "PackTrackInputs" for pipeline in pipelines(frame) for step in pipeline)


def video_dataset(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return a data set of videos in the place of one of their frames."""
    prefix = {"img_path": dataset["data_prefix"]["img"]}
    return {**dataset, "type": "MOTChallengeDataset", "data_prefix": prefix}
