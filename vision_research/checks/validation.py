"""Checks the configuration of a run by rules that types cannot express."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vision_research.config.errors import ConfigError
from vision_research.config.rules import group_problems
from vision_research.config.tree import kind_of, typed_dicts
from vision_research.protocols import RunSpec
from vision_research.protocols.part import RunPart
from vision_research.registry import FEEDS, PARTS, TASKS


def validate(run: RunSpec) -> None:
    """Check the configuration of a run.

    Raises:
        ConfigError: all problems, each with the key, the value, what is allowed and what to type.
    """
    # Tasks do not restrict a zoo file with its own data.
    asked: tuple[RunPart, ...] = FEEDS if run.data.uses_zoo_file else PARTS
    of_parts = [problem for part in asked for problem in part.problems(run)]
    if problems := [*of_parts, *_unfed_steps(run), *group_problems(run.config)]:
        raise ConfigError(problems)


def _unfed_steps(run: RunSpec) -> Iterator[str]:
    """Name the first step of `aug=zoo/...` that needs what the data of the run does not have."""
    aug, data = run.config.aug, run.data
    if aug.recipe is None or data.uses_zoo_file:
        return
    needs = {name: described for part in PARTS for name, described in part.needs.items()}
    fed = {name for task in TASKS for name in task.fed_steps(data)}
    fed |= {name for feed in run.feeds for name in feed.needs}
    for path, step in typed_dicts(aug.recipe.get("train"), "aug.recipe.train"):
        name = next((name for name in needs if name not in fed and _reads(step, name)), None)
        if name is not None:
            yield (
                f"{path}.type={step['type']}: aug=zoo/{aug.recipe['zoo']} needs {needs[name]}, and "
                f"data={data.kind.value} has none. Type another aug=OPTION, or data=zoo/{aug.recipe['zoo']} for the "
                "file's own data"
            )
            return


def _reads(step: Mapping[str, object], name: str) -> bool:
    """Return whether a step has a type, or a key if the name ends in `=`."""
    return bool(step.get(name[:-1])) if name.endswith("=") else kind_of(dict(step)) == name
