"""The task of proposals: an RPN predicts boxes without a class, which another detector classifies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vision_research.config.command_schema import TestCommand
from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataConfig
from vision_research.config.traits import DetectorTraits
from vision_research.datasets.formats import detection_metric
from vision_research.protocols import LoweringInputs, MetricInfo, Results, RunConfig
from vision_research.storage.typed_files import require_writable
from vision_research.tasks.boxes.task import Boxes

SUBJECT = "proposals"


class ProposalGeneration(Boxes):
    """Proposal generation, scored by average recall (arXiv:1502.05082)."""

    name = "proposals"
    embedded = None
    metrics = dict.fromkeys(
        ("CocoDetectionMetric:proposal", "CocoMetric:proposal", "CocoMetric:proposal_fast"),
        MetricInfo("coco/AR@1000", SUBJECT),
    )
    modules = ()

    def claims(self, traits: DetectorTraits, data: DataConfig) -> bool:
        """Claim class-agnostic detectors."""
        return traits.is_class_agnostic

    def set_classes(self, model: dict[str, Any], inputs: LoweringInputs) -> None:
        """Change nothing: the detector has no classes."""

    def evaluator(self, run: RunConfig, split: str) -> dict[str, Any]:
        """Return the COCO metric of proposals."""
        return detection_metric(run.data, run.config.storage, split, "proposal")

    def results(self, command: TestCommand, subject: str | None) -> Results | None:
        """Return the writer of proposals, if `test` was given `proposals=FILE.npz`."""
        file = command.proposals
        if file is None:
            return None
        if subject is None:
            raise ConfigError(f"proposals={file}: proposals are what an RPN finds. Type run=RUN_OF_AN_RPN")
        if subject != SUBJECT:
            raise ConfigError(
                f"proposals={file}: proposals are what an RPN finds, and run={command.run} is scored on {subject}. "
                "Type the run of model=zoo/rpn/..., or leave proposals out"
            )
        path = Path(file).absolute()
        if path.suffix != ".npz":
            raise ConfigError(f"proposals={file}: is written as a NumPy archive. Type proposals={path.stem}.npz")
        require_writable("proposals", path)
        return ProposalWriter(path)


class ProposalWriter:
    """Collects the proposals of an evaluation, and writes them to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[int, tuple[str, Any, Any]] = {}

    def take(self, sample: Any) -> None:
        """Add the proposals of one image: a `DetDataSample` with predicted boxes and scores."""
        found = sample.pred_instances
        self._found[sample.img_id] = Path(sample.img_path).name, found.bboxes.cpu().numpy(), found.scores.cpu().numpy()

    def write(self) -> str:
        """Write the file, and return one line about it."""
        # Imported here since it loads numpy, which the start of a command should not wait for.
        from vision_research.datasets.proposals import Proposals, write_proposals

        write_proposals(self._path, {img_id: Proposals(*found) for img_id, found in self._found.items()})
        return f"proposals of {len(self._found)} images: {self._path}"
