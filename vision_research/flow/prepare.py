"""From a composed run to one that can be launched: validate, look at the data, lower, preflight."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vision_research.config.addresses import is_s3, join
from vision_research.config.compose import Composition
from vision_research.config.errors import ConfigError
from vision_research.config.lowering import LoweringInputs, lower
from vision_research.config.lowering.reid import DRAWN, RANKED, REID_KINDS, reid_files
from vision_research.config.lowering.schedule import learning_rate, validation_points
from vision_research.config.lowering.storage import s3_settings
from vision_research.config.model_limits import data_problems
from vision_research.config.needs import unmet_masks, unscored_masks
from vision_research.config.schema import DataConfig, DataKind, Tracker, TrainConfig
from vision_research.config.validate import validate
from vision_research.datasets.coco_panoptic import stuff_of
from vision_research.datasets.embedded import make_embedded
from vision_research.datasets.facts import DatasetFacts, gather_facts
from vision_research.datasets.proposals import proposal_file_problem
from vision_research.datasets.reid import gather_reid_facts
from vision_research.flow.export_request import check_export
from vision_research.flow.resume_from_s3 import bring
from vision_research.flow.run_folder import choose_work_dir
from vision_research.flow.starting_weights import fetch_weights
from vision_research.flow.zoo_data import look_at_zoo_data
from vision_research.launch.devices import Hardware, resolve_hardware
from vision_research.launch.plan import LaunchPlan, training_plan
from vision_research.storage.s3.objects import begin_run
from vision_research.storage.s3.path import as_path
from vision_research.storage.s3.settings import S3Settings, default_settings
from vision_research.tracking.uri import resolve_uri
from vision_research.work_dir import WorkDir

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedRun:
    """Everything about a run that is known before its first iteration.

    Attributes:
        composition: what was typed and composed.
        work_dir: its folder, which may not exist yet.
        facts: what the annotation files say.
        hardware: the ranks.
        inputs: what lowering was told.
        mmengine: the lowered config.
        plan: the command that starts the ranks.
        resume_from: the checkpoint to go on from, or None.
    """

    composition: Composition[TrainConfig]
    work_dir: WorkDir
    facts: DatasetFacts
    hardware: Hardware
    inputs: LoweringInputs
    mmengine: dict[str, Any]
    plan: LaunchPlan
    resume_from: Path | None

    @property
    def config(self) -> TrainConfig:
        """The typed tree."""
        return self.composition.config


def prepare(composition: Composition[TrainConfig]) -> PreparedRun:
    """Check a run in full.

    Raises:
        ConfigError: what was typed or what the files hold is wrong.
        EnvironmentProblem: the machine is not fit for it.
    """
    config = composition.config
    validate(config)
    begin_run(S3Settings(**s3_settings(config.storage)))
    hardware = resolve_hardware(config.hw)
    if config.resume is True and is_s3(config.work_dir) and hardware.node_rank == 0:
        bring(str(config.work_dir), config.storage.runs, default_settings())
    work_dir = choose_work_dir(composition, hardware.node_rank)
    facts = look_at_data(config)
    inputs = lowering_inputs(config, facts, work_dir.root, hardware.world_size, hardware.on_gpu)
    _check_stage_length(config, inputs)
    mmengine = lower(config, inputs)
    logger.info("%s", learning_rate(config, inputs).explanation)
    logger.info("%s", _rhythm(config))
    _check_machine(config, work_dir)
    fetch_weights(config, mmengine)
    from vision_research.engine.preflight import preflight

    detector = preflight(mmengine)
    if config.export.formats:
        check_export(config.export, detector)
    resume_from = _resume_from(config, work_dir)
    plan = training_plan(config.hw, hardware, work_dir.root, resume_from)
    return PreparedRun(composition, work_dir, facts, hardware, inputs, mmengine, plan, resume_from)


def lowering_inputs(
    config: TrainConfig, facts: DatasetFacts, work_dir: Path, world_size: int = 1, on_gpu: bool = False
) -> LoweringInputs:
    """Gather what lowering has to know of data and machine.

    Raises:
        ConfigError: the data has no masks, and the detector is trained and scored on them; or images that it cannot
            learn from.
    """
    masks = list(unmet_masks(config, facts.masks)) or list(unscored_masks(config, facts.scored_masks))
    if problems := [*masks, *data_problems(config, facts.classes)]:
        raise ConfigError(problems)
    return LoweringInputs(
        work_dir=work_dir,
        classes=facts.classes,
        num_train=min(facts.num_train, config.data.limit_train or facts.num_train),
        world_size=world_size,
        on_gpu=on_gpu,
        masks=facts.masks,
        stuff=facts.stuff,
    )


def look_at_data(config: TrainConfig) -> DatasetFacts:
    """Make the embedded data where it is asked for, and read the annotation files."""
    data = config.data
    if data.kind is DataKind.zoo:
        return look_at_zoo_data(config)
    if data.kind.is_embedded:
        make_embedded(data.kind.value, Path(data.root))
    if data.kind in REID_KINDS:
        crops = {split: file for split, file in reid_files(data).items() if split != "test" or data.test_ann}
        anns, prefixes = ({split: crops[split][part] for split in crops} for part in (0, 1))
        return gather_reid_facts(as_path(data.root), anns, prefixes, DRAWN["num_ids"], RANKED, as_path)
    facts = gather_facts(
        kind=data.kind.value,
        root=as_path(data.root),
        train_ann=data.train_ann,
        val_ann=data.val_ann,
        test_ann=data.test_ann,
        img_prefix=data.img_prefix,
        train_prefix=data.train_prefix,
        val_prefix=data.val_prefix,
        test_prefix=data.test_prefix,
        unlabelled_ann=data.unlabelled_ann,
        unlabelled_prefix=data.unlabelled_prefix,
        classes=tuple(data.classes) if data.classes else None,
        strict=data.strict,
        as_path=as_path,
    )
    for warning in facts.warnings:
        logger.warning("%s", warning)
    _check_proposals(data)
    if data.train_panoptic is None:
        return facts
    maps = {key: getattr(data, key) for key in ("train_panoptic", "val_panoptic", "test_panoptic")}
    files = {f"data.{key}": as_path(join(data.root, ann)) for key, ann in maps.items() if ann is not None}
    return replace(facts, stuff=stuff_of(files, facts.classes))


def _check_proposals(data: DataConfig) -> None:
    """See that every image has its proposals, where they are read from a file."""
    anns = {"train": data.train_ann, "val": data.val_ann, "test": data.test_ann}
    problems = []
    for split, ann in anns.items():
        if ann is None or (file := getattr(data, f"{split}_proposals")) is None:
            continue
        paths = (as_path(join(data.root, file)), as_path(join(data.root, ann)))
        if problem := proposal_file_problem(f"data.{split}_proposals", *paths):
            problems.append(problem)
    if problems:
        raise ConfigError(problems)


def _rhythm(config: TrainConfig) -> str:
    points, unit = validation_points(config.schedule), "epochs" if config.schedule.max_iters is None else "iterations"
    shown = [str(point) for point in points] if len(points) <= 12 else [*map(str, points[:8]), "...", str(points[-1])]
    return f"validation after {unit} {', '.join(shown)}"


def _check_machine(config: TrainConfig, work_dir: WorkDir) -> None:
    from vision_research.engine.environment import require

    tracked = config.tracking.kind is Tracker.mlflow
    require(
        work_dir=work_dir.root,
        data_root=None if is_s3(config.data.root) else Path(config.data.root).absolute(),
        tracking_uri=resolve_uri(config.tracking.uri, Path.cwd()) if tracked else None,
    )


def _check_stage_length(config: TrainConfig, inputs: LoweringInputs) -> None:
    """In iterations, whether the weak stage fits is known only with the size of the data."""
    if config.schedule.max_iters is None or (config.aug.final is None and config.aug.recipe is None):
        return
    final = config.aug.final_epochs * inputs.iters_per_epoch(config.data.batch_size, config.data.repeat)
    if final >= config.schedule.max_iters:
        raise ConfigError(
            f"aug.final_epochs={config.aug.final_epochs} are {final} iterations here, with schedule.max_iters="
            f"{config.schedule.max_iters}: the weak pipeline would begin before the training. Type aug.final_epochs=0, "
            f"or schedule.max_iters={final + 1} or more"
        )


def _resume_from(config: TrainConfig, work_dir: WorkDir) -> Path | None:
    if not config.resume:
        return None
    from vision_research.engine.checkpoints import find_resumable

    found = find_resumable(work_dir.root)
    if found.warning:
        logger.warning("%s", found.warning)
    logger.info("resuming %s from %s (iteration %d)", work_dir.root, found.path.name, found.iteration)
    return found.path
