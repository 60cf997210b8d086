"""The task of tracks: objects are tracked in videos.

A run belongs to this task if its validation pipeline packs videos; the same annotations (CocoVID JSON) can also train a
detector on single images. Trackers of boxes are scored by MOTChallenge's metrics, trackers of masks by YouTube-VIS' AP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vision_research.config.schema import DataConfig, DataKind
from vision_research.config.traits import DetectorTraits
from vision_research.config.tree import kind_of
from vision_research.protocols import Feed, LoweringRun, MetricInfo, RunConfig, Step
from vision_research.tasks.boxes.task import Boxes
from vision_research.tasks.loaders import plain_loader
from vision_research.tasks.tracks.embedded import DIGITS_VIDEO

VIDEOS_WITH_TRACKS = "videos with tracks"
# HOTA (arXiv:2009.07736), CLEAR MOT (doi:10.1155/2008/246309) and IDF1 (arXiv:1609.01775), as TrackEval computes them.
BOX_METRIC = {"type": "MOTChallengeMetric", "metric": ["HOTA", "CLEAR", "Identity"]}
# AP and AR of masks in videos (arXiv:1905.04804).
MASK_METRIC = {"type": "VideoMaskMetric"}
# MMDetection's trackers that combine trained models, and have no loss.
UNTRAINABLE = ("DeepSORT", "StrongSORT")


class Tracks(Boxes):
    """Tracking of boxes or masks."""

    name = "tracks"
    embedded = DIGITS_VIDEO
    kinds = frozenset({DataKind.mot, DataKind.youtube_vis, DataKind.digits_video})
    metrics = {
        "MOTChallengeMetric": MetricInfo("motchallenge-metric/HOTA", "tracks"),
        "VideoMaskMetric": MetricInfo("youtube_vis/segm_mAP", "tracks with masks"),
        "YouTubeVISMetric": MetricInfo("youtube_vis/segm_mAP", "tracks with masks"),
    }
    needs = {
        "LoadTrackAnnotations": VIDEOS_WITH_TRACKS,
        "UniformRefFrameSample": VIDEOS_WITH_TRACKS,
        "TransformBroadcaster": VIDEOS_WITH_TRACKS,
        "PackTrackInputs": VIDEOS_WITH_TRACKS,
    }
    modules = ("vision_research.tasks.tracks.metric",)
    masked_data = "data=digits_video, data=youtube_vis, or a tracker of boxes: experiment=qdtrack"

    def claims(self, traits: DetectorTraits, data: DataConfig) -> bool:
        """Claim runs whose validation pipeline packs videos."""
        return "val" in traits.video_splits

    def monitor(self, traits: DetectorTraits, data: DataConfig) -> str:
        """Return the monitor of the metric for such a tracker."""
        return self.metrics[_metric(traits)["type"]].monitor

    def problems(self, run: RunConfig) -> Iterator[str]:
        """Name a tracker that cannot be trained, or not on this data."""
        model, traits, data = run.config.model, run.traits, run.data
        kind, zoo = model.get("type"), run.config.model_recipe.get("zoo")
        if kind in UNTRAINABLE:
            yield (
                f"model={kind}: is put together of a detector and a re-identification that were trained before, and "
                "has no training of its own. Type a tracker that has one: experiment=bytetrack, or experiment=qdtrack"
            )
        elif traits.is_tracker and not self.claims(traits, data):
            yield (
                f"model={kind}: follows objects through videos, and the pipelines of this aug give it single images. "
                f"Type aug=zoo/{zoo} data=digits_video, or data={'youtube_vis' if traits.has_masks else 'mot'}"
            )
        elif traits.is_tracker and not traits.has_masks and data.kind is DataKind.youtube_vis:
            yield (
                f"model={kind}: is scored by MOTChallenge's metrics, and data=youtube_vis has no visibility of its "
                "objects. Type data=digits_video, or data=mot, or a tracker of masks: experiment=masktrack_rcnn"
            )

    def step(self, step: Step, run: RunConfig, split: str) -> Step:
        """Let the steps for each frame of a video load masks if the detector needs them."""
        if kind_of(step) == "TransformBroadcaster":
            return {**step, "transforms": [self.step(inner, run, split) for inner in step["transforms"]]}
        loads = kind_of(step) == "LoadTrackAnnotations" and run.traits.has_masks
        return {**step, "with_mask": True} if loads else step

    def dataset(self, run: LoweringRun, split: str) -> dict[str, Any]:
        """Return a data set of videos, or of single frames if the pipeline of the split packs images.

        MOTChallengeDataset reads no masks. YouTubeVISDataset would fix the class names of one year of the challenge.
        """
        dataset = super().dataset(run, split)
        if split not in run.traits.video_splits:
            return dataset
        kind = "BaseVideoDataset" if run.traits.has_masks else "MOTChallengeDataset"
        return {**dataset, "type": kind, "data_prefix": {"img_path": dataset["data_prefix"]["img"]}}

    def loader(
        self, run: LoweringRun, split: str, template: Mapping[str, Any], feeds: Sequence[Feed]
    ) -> dict[str, Any]:
        """Return a loader whose samples are frames, or whole videos for the evaluation of masks."""
        if split not in run.traits.video_splits:
            return super().loader(run, split, template, feeds)
        training = split == "train"
        sampler: dict[str, Any] = {"type": "TrackImgSampler"}
        if run.traits.has_masks and not training:
            # Each video once: with `round_up`, some would be scored twice.
            sampler = {"type": "DefaultSampler", "shuffle": False, "round_up": False}
        return {
            # A sample is a video and the number of a frame, which prefetching does not support; in validation a tracker
            # takes one frame at a time.
            **plain_loader(run, run.data.batch_size if training else 1, images=None),
            **({} if training else {"drop_last": False}),
            "sampler": sampler,
            "dataset": self.full_dataset(run, split, template, feeds),
        }

    def evaluator(self, run: RunConfig, split: str) -> dict[str, Any]:
        """Return MOTChallenge's metrics for boxes, or YouTube-VIS' AP for masks."""
        if split not in run.traits.video_splits:
            return super().evaluator(run, split)
        return dict(_metric(run.traits))


def _metric(traits: DetectorTraits) -> dict[str, Any]:
    return MASK_METRIC if traits.has_masks else BOX_METRIC
