"""Every task and every feed keeps its protocol, and the rest of the house names none of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import vision_research
from vision_research import registry
from vision_research.config.command_schema import TestCommand
from vision_research.config.dataset_tree import PLACE
from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataConfig, DataKind, TrainConfig
from vision_research.datasets.facts import DatasetFacts
from vision_research.protocols import DataFile, Feed, LoweringInputs, LoweringSpec, RunPart, RunSpec, Task
from vision_research.registry import EMBEDDED, FEEDS, PARTS, TASKS, data_files, make_embedded, specify
from vision_research.tasks.boxes.task import Boxes

Compose = Callable[..., TrainConfig]
PACKAGE = Path(vision_research.__file__).parent
INPUTS = LoweringInputs(Path("/runs/x"), ("a", "b"), num_train=8, masks="rle", stuff=("sky",))
FRAME = {PLACE: 0, "pipeline": [{"type": "LoadImageOrSkip"}]}
TWO_PLACES = {"type": "ConcatDataset", "datasets": [FRAME, {**FRAME, PLACE: 1}]}
COUNTS = {
    "digits": {"train": 2, "val": 1, "test": 1},
    "digits_panoptic": {"train": 2, "val": 1, "test": 1},
    "digits_semi": {"train": 4, "val": 1, "test": 1},
    "digits_video": {"train": 1, "val": 1},
    "digits_reid": {"train": 2, "val": 1},
}
SOFT_TEACHER = "zoo/soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco"
FAST_RCNN = "zoo/fast_rcnn/fast-rcnn_r50_fpn_1x_coco"
GLIP = "zoo/glip/glip_atss_swin-t_a_fpn_dyhead_16xb2_ms-2x_funtune_coco"
GIVEN = ("data=coco", "data.root=/d", "data.train_ann=t.json", "data.val_ann=v.json")
# What is typed for a run of each task, and with each feed.
TASK_WORDS: dict[str, tuple[str, ...]] = {
    "zoo_file": ("experiment=zoo/retinanet/retinanet_r18_fpn_1x_coco",),
    "tracks": ("experiment=bytetrack",),
    "identities": ("experiment=reid",),
    "panoptic": ("experiment=panoptic_fpn",),
    "proposals": ("model=zoo/rpn/rpn_r50_fpn_1x_coco",),
    "boxes": (),
}
FEED_WORDS: dict[str, tuple[str, ...]] = {
    "class_names": (f"model={GLIP}", f"aug={GLIP}"),
    "given_proposals": (
        f"model={FAST_RCNN}",
        f"aug={FAST_RCNN}",
        *GIVEN,
        "data.train_proposals=t.npz",
        "data.val_proposals=v.npz",
    ),
    "maps": ("experiment=panoptic_fpn",),
    "unlabelled": ("experiment=soft_teacher",),
}


@pytest.fixture
def run(typed: Compose) -> Callable[..., RunSpec]:
    return lambda words: specify(typed(*words))


def test_every_task_and_feed_is_a_folder_of_its_name() -> None:
    for folder, parts in (("tasks", TASKS), ("feeds", FEEDS)):
        inside = {path.name for path in (PACKAGE / folder).iterdir() if path.is_dir() and path.name != "__pycache__"}
        assert inside == {part.name for part in parts}  # type: ignore[attr-defined]
    assert {task.name for task in TASKS} == set(TASK_WORDS)
    assert {feed.name for feed in FEEDS} == set(FEED_WORDS)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_claims_its_runs_and_no_other_task_but_boxes_does(task: Task, run: Callable[..., RunSpec]) -> None:
    spec = run(TASK_WORDS[task.name])
    assert spec.task is task
    assert [other.name for other in TASKS[:-1] if other.claims(spec.traits, spec.data)] in ([task.name], [])


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_a_feed_is_part_of_its_runs_and_of_no_plain_one(feed: Feed, run: Callable[..., RunSpec]) -> None:
    assert feed in run(FEED_WORDS[feed.name]).feeds
    assert feed not in run(()).feeds


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_answers_every_method(task: Task, run: Callable[..., RunSpec], tmp_path: Path) -> None:
    spec = LoweringSpec(**vars(run(TASK_WORDS[task.name])), inputs=INPUTS)
    assert "/" in task.monitor(spec.traits, spec.data)
    assert all(
        registry.metric_info({"type": name.partition(":")[0], "metric": name.partition(":")[2] or None}) == said
        for name, said in task.metrics.items()
    )
    assert not list(task.problems(spec))
    assert task.fed_steps(spec.data) >= (frozenset(task.needs) if spec.data.kind in task.kinds else frozenset())
    assert task.step({"type": "Resize"}, spec, "train") == {"type": "Resize"}
    assert isinstance(
        list(task.unfit(spec, DatasetFacts(("a",), {"train": 1}, "", masks="rle", scored_masks="rle"))), list
    )
    assert all(isinstance(file, DataFile) for file in task.files(spec.data))
    for split in ("train", "val"):
        loader = task.loader(spec, split, FRAME, spec.feeds)
        assert loader is not None and {"batch_size", "num_workers", "sampler", "dataset"} <= set(loader)
    assert task.evaluator(spec, "val")
    assert task.results(TestCommand(run="x"), None) is None
    model: dict[str, Any] = {"type": "X", "bbox_head": {"num_classes": 80}, "head": {"num_classes": 80}}
    if type(task).set_classes is not Boxes.set_classes:
        task.set_classes(model, INPUTS)
    with pytest.raises(ConfigError, match=r"data\.root="):
        task.look(DataConfig(spec.data.kind, str(tmp_path / "no"), "t", "v", recipe=spec.data.recipe), ("train", "val"))


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_a_feed_answers_every_method(feed: Feed, run: Callable[..., RunSpec]) -> None:
    spec = LoweringSpec(**vars(run(FEED_WORDS[feed.name])), inputs=INPUTS)
    assert feed.monitor(spec.traits, "auto") == "auto"
    assert feed.monitor(spec.traits, "coco/bbox_mAP").endswith("coco/bbox_mAP")
    assert isinstance(feed.subject(spec.traits), str)
    assert not list(feed.problems(spec))
    assert all(isinstance(file, DataFile) for file in feed.files(spec.data))
    assert feed.step({"type": "Resize"}, spec, "train") == {"type": "Resize"}
    assert feed.pipeline([{"type": "Resize"}], spec) == [{"type": "Resize"}]
    assert all(split.is_trained_on for split in feed.splits(spec.data))
    given = {"type": "CocoDataset", "data_prefix": {"img": "images/"}}
    datasets = feed.datasets([given], spec, "train")
    assert datasets != [given]
    if len(datasets) == 1:
        assert feed.finish_dataset(datasets[0], spec) == datasets[0]
    assert feed.counted_per_batch(spec) <= spec.data.batch_size
    assert feed.sampler(spec) is None or "type" in (feed.sampler(spec) or {})
    assert feed.explain_build({"type": "X"}, ValueError(), "") == []
    assert feed.validation_loop in ("ValLoop", "TeacherStudentValLoop")


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_what_registers_types_can_be_imported(part: RunPart) -> None:
    assert all(find_spec(module) is not None for module in part.modules)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(EMBEDDED))
def test_embedded_data_is_made_and_read_by_its_owner(name: str, tmp_path: Path, typed: Compose) -> None:
    root = make_embedded(name, tmp_path / name, **COUNTS[name])
    data = typed(f"data={name}", f"data.root={root}").data
    owner = next((task for task in TASKS if data.kind in task.kinds), TASKS[-1])
    listed = list(data_files(data))
    assert all((root / file.path).is_file() for file in listed)
    images = {
        str(Path(file.folder, image))
        for file in listed
        if file.images
        for image in file.images((root / file.path).read_bytes())
    }
    if owner.name != "identities":
        assert images and all((root / image).is_file() for image in images)
        assert {file for file in root.rglob("*.*g") if file.suffix in (".jpg", ".png")} == {
            root / image for image in images
        }


def test_maps_and_proposals_and_unlabelled_images_belong_to_the_files_of_a_data_set() -> None:
    data = DataConfig(
        DataKind.coco, "/d", "t.json", "v.json", train_panoptic="pt.json", val_panoptic="pv.json",
        train_proposals="p.npz", unlabelled_ann="u.json", unlabelled_prefix="more/",
    )  # fmt: skip
    assert {(file.path, file.folder) for file in data_files(data)} == {
        ("t.json", ""), ("v.json", ""), ("p.npz", ""), ("pt.json", "pt"), ("pv.json", "pv"), ("u.json", "more/")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "evaluator", "subject"),
    [
        ({"type": "FasterRCNN"}, {"type": "CocoDetectionMetric", "metric": ["bbox", "segm"]}, None),
        ({"type": "RPN"}, {"type": "CocoDetectionMetric", "metric": "proposal"}, "proposals"),
        ({"type": "RPN"}, [{"type": "CocoMetric", "metric": ["proposal"]}], "proposals"),
        ({"type": "FastRCNN"}, {"type": "CocoMetric"}, "proposals that are given to it"),
        ({"type": "QDTrack"}, {"type": "MOTChallengeMetric"}, "tracks"),
        ({"type": "MaskTrackRCNN"}, {"type": "YouTubeVISMetric"}, "tracks with masks"),
        ({"type": "PanopticFPN"}, [{"type": "CocoMetric"}, {"type": "PanopticQuality"}], "panoptic maps"),
        ({"type": "HTC"}, {"type": "SemSegMetric"}, "maps of classes"),
        ({"type": "BaseReID"}, {"type": "ReIDMetrics"}, "identities"),
        ({"type": "X"}, None, None),
    ],
)
def test_the_subject_follows_from_detector_and_evaluator(model: dict[str, Any], evaluator: Any, subject: str) -> None:
    assert registry.scored_subject(model, evaluator) == subject


# Words of one task or feed, and the files outside of its folder that spell them, each with its reason.
SPELT = {
    "panoptic": {
        "config/schema.py": "the keys that a person types",
        "config/traits.py": "what is asked of a detector's tree",
        "config/recipe.py": "a loading transform of MMDetection",
        "checks/extras.py": "types of MMDetection that need a package",
        "datasets/coco/inspection.py": "COCO's file format, taken for another",
        "datasets/panoptic_files.py": "COCO's file format",
        "deploy/families/mask2former.py": "MMDetection's name of a head",
    },
    "unlabelled": {"config/schema.py": "the keys that a person types"},
    "reid": {
        "config/schema.py": "the kinds of data that a person types",
        "config/traits.py": "what is asked of a detector's tree",
        "checks/extras.py": "types of MMDetection that need a package",
        "lowering/tuples.py": "a packing transform of MMCV that takes tuples",
    },
}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE)
        if name.parts[0] not in ("tasks", "feeds", "registry.py"):
            yield str(name), ast.parse(path.read_text())


def spelt_in(tree: ast.Module) -> Iterator[str]:
    """Every name of a module, and every text in it that is no sentence."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            yield node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.ImportFrom):
            yield f"{node.module}.{node.names[0].name}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            yield node.value


@pytest.mark.slow
@pytest.mark.parametrize("word", SPELT)
def test_the_words_of_a_task_or_feed_are_spelt_in_its_folder_alone(word: str) -> None:
    found = {name for name, tree in sources() if any(word in text.lower() for text in spelt_in(tree))}
    assert found == set(SPELT[word])


@pytest.mark.slow
def test_nothing_but_the_registry_imports_a_task_or_feed() -> None:
    folder = re.compile(r"vision_research\.(tasks|feeds)\.")
    assert [name for name, tree in sources() if any(folder.match(text) for text in spelt_in(tree))] == []
