"""The feed of given proposals: precomputed boxes, which Fast R-CNN (arXiv:1504.08083) classifies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vision_research.config.addresses import absolute, join
from vision_research.config.errors import ConfigError
from vision_research.config.schema import DataConfig
from vision_research.config.traits import DetectorTraits
from vision_research.config.tree import kind_of
from vision_research.datasets.facts import DatasetFacts
from vision_research.datasets.formats import format_of
from vision_research.protocols import DataFile, Feed, LoweringRun, RunConfig
from vision_research.storage.s3.path import as_path

# Steps that load proposals, and that transform them together with the boxes.
STEPS = ("LoadProposals", "ProposalBroadcaster")
KEYS = ("train_proposals", "val_proposals", "test_proposals")
EXAMPLE = "zoo/fast_rcnn/fast-rcnn_r50_fpn_1x_coco"
MAKE = "python -m vision_research.test run=RUN_OF_AN_RPN proposals=FILE.npz"


class GivenProposals(Feed):
    """A file of proposals for each split."""

    name = "given_proposals"
    modules = ("vision_research.feeds.given_proposals.dataset",)

    def claims(self, traits: DetectorTraits, data: DataConfig) -> bool:
        """Claim runs of detectors that classify given boxes, except with a zoo file's own data."""
        return traits.takes_proposals and not data.uses_zoo_file

    def problems(self, run: RunConfig) -> Iterator[str]:
        """Name what such a detector lacks, and keys that other detectors do not read."""
        if run.data.uses_zoo_file:
            return
        train = run.file_steps
        loads = [f"{path}.type={step['type']}" for path, step in train if kind_of(step) in STEPS]
        if not run.traits.takes_proposals:
            yield from _unread(run, loads)
            return
        model = run.config.model["type"]
        if not format_of(run.data).has_coco_file:
            yield (
                f"data={run.data.kind.value}: proposals of model={model} are identified by COCO's image ids. "
                "Type data=coco"
            )
            return
        if not loads:
            zoo = run.config.model_recipe.get("zoo", EXAMPLE.removeprefix("zoo/"))
            yield f"model={model}: the pipelines of this aug load no proposals. Type aug=zoo/{zoo}"
        for split in ("train", "val", *(("test",) if run.data.test_ann is not None else ())):
            yield from _unfit_file(model, split, _file(run.data, split))

    def subject(self, traits: DetectorTraits) -> str:
        """Return the subject of detectors that classify given boxes."""
        return "proposals that are given to it" if traits.takes_proposals else ""

    def look(self, data: DataConfig, facts: DatasetFacts) -> DatasetFacts:
        """Check that every image of the splits has proposals."""
        # Imported here since it loads numpy, which the start of a command should not wait for.
        from vision_research.datasets.proposals import proposal_file_problem

        problems = []
        for split in facts.counts:
            if (file := getattr(data, f"{split}_proposals", None)) is None:
                continue
            paths = (as_path(join(data.root, name)) for name in (file, getattr(data, f"{split}_ann")))
            if problem := proposal_file_problem(f"data.{split}_proposals", *paths):
                problems.append(problem)
        if problems:
            raise ConfigError(problems)
        return facts

    def files(self, data: DataConfig) -> Iterator[DataFile]:
        """List the files of proposals."""
        return (DataFile(f"data.{key}", file) for key in KEYS if (file := getattr(data, key)) is not None)

    def datasets(self, datasets: list[dict[str, Any]], run: LoweringRun, split: str) -> list[dict[str, Any]]:
        """Let the data sets load the proposals."""
        typed = _file(run.data, split)
        assert typed is not None, "problems() asks for it"
        file = join(absolute(run.data.root), typed)
        given = {"proposal_file": file, "proposal_backend_args": run.config.storage.backend_args(file)}
        return [{**dataset, "type": "ProposalDataset", **given} for dataset in datasets]


def _file(data: DataConfig, split: str) -> str | None:
    """Return the file of a split as it was typed; without a test split, `test` is the validation split."""
    file: str | None = getattr(data, f"{data.split_with_files(split)}_proposals")
    return file


def _unread(run: RunConfig, loads: list[str]) -> Iterator[str]:
    kind = run.config.model.get("type")
    for key in KEYS:
        if value := getattr(run.data, key):
            yield f"data.{key}={value}: model={kind} makes its own proposals. Leave it out, or type model={EXAMPLE}"
    if loads:
        assert run.config.aug.recipe is not None
        yield (
            f"{loads[0]}: aug=zoo/{run.config.aug.recipe['zoo']} needs proposals that were computed before, and "
            f"data={run.data.kind.value} has none for model={kind}, which makes its own. Type another aug=OPTION, or "
            f"model={EXAMPLE}"
        )


def _unfit_file(model: str, split: str, file: str | None) -> Iterator[str]:
    if file is None:
        yield (
            f"data.{split}_proposals is not set: model={model} classifies proposals that were computed before. "
            f"Type data.{split}_proposals=FILE.npz, or model=faster_rcnn, which makes its own. {MAKE} writes such "
            "a file"
        )
    elif not file.endswith(".npz"):
        # MMDetection's own are pickles, which run code when they are read.
        yield f"data.{split}_proposals={file}: is no .npz. Make one: {MAKE}"
