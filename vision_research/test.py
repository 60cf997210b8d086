"""Evaluate a run and its exported models: `python -m vision_research.test run=WORK_DIR artifact=model.ts`."""

from __future__ import annotations

from vision_research.config.command_schema import TestCommand
from vision_research.config.compose import Composition, command


@command("test")
def main(composition: Composition[TestCommand]) -> None:
    """Evaluate a checkpoint and artifacts with the same metric on the same images."""
    from vision_research.flow.test import test

    test(composition.config)


if __name__ == "__main__":
    main()
