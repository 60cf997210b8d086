"""The steps of the `browse` command: build the data set of a training, trace its transforms, draw what they return."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vision_research.checks.validation import check_data, look_at_data, validate
from vision_research.config.command_rules import browse_problems
from vision_research.config.command_schema import BrowseCommand
from vision_research.config.compose import Composition
from vision_research.config.errors import ConfigError
from vision_research.lowering import lower
from vision_research.protocols import LoweringInputs
from vision_research.registry import specify
from vision_research.storage.s3.objects import begin_run
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.typed_files import require_writable
from vision_research.work_dir import WorkDir

if TYPE_CHECKING:
    from vision_research.browsing.traced_samples import TracedDataset


def browse(composition: Composition[BrowseCommand]) -> Path:
    """Draw images as the pipeline of a training returns them; return the folder of the pictures.

    Raises:
        ConfigError: the configuration or the data is wrong; nothing is written then.
    """
    from vision_research.browsing.sample_pictures import choose_images, draw_samples, seed_transforms
    from vision_research.browsing.traced_samples import describe_transforms
    from vision_research.console.quiet import quiet_warnings
    from vision_research.visualization.picture_files import write_pictures

    quiet_warnings()
    options, out = composition.config.browse, Path(composition.config.browse.out).absolute() / composition.job_name
    if problems := list(browse_problems(options)):
        raise ConfigError(problems)
    require_writable("browse.out", out / "sheet.jpg")
    with tempfile.TemporaryDirectory(prefix="vision_research-browse-") as scratch:
        dataset = _traced_dataset(composition.config, WorkDir(Path(scratch)))
        print("\n".join(describe_transforms(dataset.transforms)), flush=True)
        chosen = choose_images(dataset.names(), options)
        seed_transforms(dataset, composition.config.seed)
        pictures = list(draw_samples(dataset, chosen, options.repeat, options.steps))
        left_out = WorkDir(Path(scratch)).skipped_images
        skipped = left_out.read_text().splitlines() if left_out.is_file() else []
    write_pictures(out, pictures, one_column=options.steps)
    for path in skipped:
        print(f"left out: {path}", flush=True)
    print(f"{len(pictures)} pictures: {out}", flush=True)
    return out


def _traced_dataset(config: BrowseCommand, work_dir: WorkDir) -> TracedDataset:
    """Build the data set of the training."""
    run = specify(config)
    validate(run)
    begin_run(S3Settings(**config.storage.s3_settings))
    facts = look_at_data(run)
    check_data(run, facts)
    lowered = lower(run, LoweringInputs.of(config.data, facts, work_dir.root))
    from vision_research.browsing.traced_samples import TracedDataset, switch_to_second_stage
    from vision_research.checks.preflight import build_dataset, register_types, unknown_types

    register_types(lowered)
    if problems := unknown_types(lowered):
        raise ConfigError(problems)
    dataset = build_dataset(lowered, config.browse.phase.value)
    if config.browse.stage == 2:
        switch_to_second_stage(dataset, lowered)
    return TracedDataset(dataset)
