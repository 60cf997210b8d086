"""Lowers video for trackers: data sets that know which frames belong together, and the metrics of videos.

The same annotations (CocoVID JSON) train a detector frame by frame; that a pipeline packs tracks decides which it is.
What a tracker finds decides what it is scored by: boxes as MOTChallenge does, masks as YouTube-VIS does.
"""

from __future__ import annotations

from typing import Any

from vision_research.config.dataset_tree import pipelines
from vision_research.config.schema import DataKind

# HOTA (arXiv:2009.07736), CLEAR MOT (doi:10.1155/2008/246309) and IDF1 (arXiv:1609.01775), as TrackEval computes them.
BOX_METRIC = {"type": "MOTChallengeMetric", "metric": ["HOTA", "CLEAR", "Identity"]}
# AP and AR of masks through a whole video (arXiv:1905.04804).
MASK_METRIC = {"type": "VideoMaskMetric"}
FRAMES = {"type": "TrackImgSampler"}
# Masks are scored by whole videos, each of them once.
VIDEOS = {"type": "DefaultSampler", "shuffle": False, "round_up": False}
VIDEO_KINDS = (DataKind.mot, DataKind.youtube_vis, DataKind.digits_video)


def gives_tracks(frame: dict[str, Any]) -> bool:
    """Tell whether the pipelines of a frame pack videos with tracks."""
    return any(step["type"] == "PackTrackInputs" for pipeline in pipelines(frame) for step in pipeline)


def video_dataset(dataset: dict[str, Any], with_mask: bool) -> dict[str, Any]:
    """Return a data set of videos in the place of one of their frames.

    Args:
        dataset: of the frames.
        with_mask: whether the tracker is trained on masks. MOTChallengeDataset reads none; YouTubeVISDataset is
            BaseVideoDataset with the class names of one year, where ours come from the annotations.
    """
    kind = "BaseVideoDataset" if with_mask else "MOTChallengeDataset"
    return {**dataset, "type": kind, "data_prefix": {"img_path": dataset["data_prefix"]["img"]}}


def video_sampler(with_mask: bool, trains: bool) -> dict[str, Any]:
    """Return the sampler: of frames, so that an epoch sees each, or of whole videos where masks are scored."""
    return dict(VIDEOS if with_mask and not trains else FRAMES)


def video_metric(with_mask: bool) -> dict[str, Any]:
    """Return what a tracker is scored by."""
    return dict(MASK_METRIC if with_mask else BOX_METRIC)
