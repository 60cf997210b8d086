"""Prepares a composed run for its launch (validate, read the annotations, lower, preflight), and writes its folder."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from vision_research.checks.validation import check_data, check_stage_length, look_at_data, validate
from vision_research.config.addresses import is_s3
from vision_research.config.compose import Composition
from vision_research.config.schema import Tracker, TrainConfig
from vision_research.datasets.facts import DatasetFacts
from vision_research.deploy.export_group import check_export
from vision_research.flow.from_s3 import fetch_run
from vision_research.flow.source import fetch_weights
from vision_research.launch.devices import Hardware, resolve_hardware
from vision_research.launch.plan import LaunchPlan, training_plan
from vision_research.launch.run_folder import choose_work_dir
from vision_research.lowering import lower
from vision_research.lowering.schedule import describe_validation, learning_rate
from vision_research.ops.mmcv_ext.choice import select
from vision_research.protocols import LoweringInputs, RunSpec
from vision_research.registry import specify
from vision_research.storage.s3.objects import begin_run
from vision_research.storage.s3.settings import S3Settings, default_settings
from vision_research.tracking.uri import resolve_uri
from vision_research.work_dir import WorkDir, write_atomic, write_json

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedRun:
    """A run that has passed all checks.

    Attributes:
        composition: its composed configuration.
        work_dir: its folder, which may not exist yet.
        facts: about the annotation files.
        hardware: the ranks.
        inputs: of the lowering.
        mmengine: the lowered config.
        plan: the command that starts the ranks.
        resume_from: the checkpoint to resume, or None.
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


@dataclass(frozen=True)
class PlacedRun:
    """A run whose words are valid, and that has a folder.

    Attributes:
        composition: its composed configuration.
        spec: what its task and feeds say of it.
        hardware: the ranks.
        work_dir: its folder.
    """

    composition: Composition[TrainConfig]
    spec: RunSpec
    hardware: Hardware
    work_dir: WorkDir


def place(composition: Composition[TrainConfig]) -> PlacedRun:
    """Check the words of a run and this machine's devices, and choose the folder.

    Raises:
        ConfigError: the configuration is wrong.
    """
    config = composition.config
    run = specify(config)
    validate(run)
    select(config.ops.value)
    hardware = resolve_hardware(config.hw)
    begin_run(S3Settings(**config.storage.s3_settings))
    if config.resume is True and is_s3(config.work_dir) and hardware.node_rank == 0:
        fetch_run("work_dir", str(config.work_dir), config.storage.runs, default_settings())
    return PlacedRun(composition, run, hardware, choose_work_dir(composition, hardware.node_rank))


def prepare(placed: PlacedRun) -> PreparedRun:
    """Look at the data of a run, lower it, and check all that a training needs.

    Raises:
        ConfigError: the configuration or the data is wrong.
        EnvironmentProblem: the machine or an installed package does not support the run.
    """
    composition, run, hardware, work_dir = placed.composition, placed.spec, placed.hardware, placed.work_dir
    config = composition.config
    facts = look_at_data(run)
    check_data(run, facts)
    inputs = LoweringInputs.of(config.data, facts, work_dir.root, hardware.world_size, hardware.on_gpu)
    check_stage_length(config, inputs)
    logger.info("%s", learning_rate(config, inputs).explanation)
    logger.info("%s", describe_validation(config.schedule))
    mmengine = lower(run, inputs)
    _check_machine(config, work_dir, hardware.on_gpu)
    fetch_weights(config, mmengine)
    from vision_research.checks.preflight import preflight

    detector = preflight(mmengine)
    if config.export.formats:
        check_export(config.export, detector)
    resume_from = _resume_from(config, work_dir)
    plan = training_plan(config.hw, hardware, work_dir.root, resume_from)
    return PreparedRun(composition, work_dir, facts, hardware, inputs, mmengine, plan, resume_from)


def _check_machine(config: TrainConfig, work_dir: WorkDir, on_gpu: bool) -> None:
    from vision_research.checks.environment import require

    tracked = config.tracking.kind is Tracker.mlflow
    require(
        work_dir=work_dir.root,
        data_root=None if is_s3(config.data.root) else Path(config.data.root).absolute(),
        tracking_uri=resolve_uri(config.tracking.uri, Path.cwd()) if tracked else None,
        on_gpu=on_gpu,
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


def write_folder(run: PreparedRun) -> None:
    """Write `config.yaml`, `config.py`, `overrides.txt`, `launch.json` and `environment.txt`."""
    work_dir = run.work_dir
    overrides = [word for word in run.composition.overrides if not word.startswith(("resume=", "+resume="))]
    write_atomic(work_dir.overrides, "".join(f"{word}\n" for word in overrides))
    write_atomic(work_dir.config_yaml, run.composition.yaml)
    write_atomic(work_dir.config_py, config_text(run.mmengine))
    packages = {(dist.metadata["Name"] or "").lower(): dist.version for dist in distributions()}
    listed = [f"{name}=={version}\n" for name, version in sorted(packages.items()) if name]
    write_atomic(work_dir.environment, "".join(listed))
    write_json(work_dir.launch_json, asdict(run.plan))


def config_text(tree: dict[str, Any]) -> str:
    """Return a lowered config as the text of an MMEngine config file, including its tuples."""
    from mmengine.config import Config

    # yapf takes half a second for what it changes, spaces and the places where lines break.
    text: str = Config(tree, format_python_code=False).pretty_text
    return text
