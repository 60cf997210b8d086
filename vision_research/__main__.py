"""The commands: `vision-research NAME WORDS` is `python -m vision_research.NAME WORDS`; without a name, their list."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

COMMANDS = ("train", "test", "threshold", "export", "predict", "browse", "track", "pack", "doctor")


def main() -> None:
    """Run the command that is typed first."""
    name, *words = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help", "help"):
        print(overview())
        return
    if name == "--version":
        from vision_research import __version__

        print(f"vision-research {__version__}")
        return
    if name not in COMMANDS:
        from vision_research.config.hints import did_you_mean

        meant = did_you_mean(name, COMMANDS)
        sys.exit(f"vision-research {name}: there is no such command.{meant} Type one of {', '.join(COMMANDS)}")
    # What the commands record of themselves, and what they say to type.
    sys.orig_argv = [sys.executable, "-m", f"vision_research.{name}", *words]
    sys.argv = [str(Path(__file__).with_name(f"{name}.py")), *words]
    runpy.run_module(f"vision_research.{name}", run_name="__main__", alter_sys=True)


def overview() -> str:
    """Return one line for each command, from its docstring."""
    lines = ["vision-research COMMAND WORDS, or python -m vision_research.COMMAND WORDS:", ""]
    for name in COMMANDS:
        # Read, not imported: this must be quick.
        described = ast.get_docstring(ast.parse(Path(__file__).with_name(f"{name}.py").read_text())) or ""
        lines.append(f"  {name:<10} {described.splitlines()[0]}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
