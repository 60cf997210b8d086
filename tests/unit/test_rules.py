"""House rules that the source itself shows: lengths, documented parameters, keys that are read, modules under test."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "vision_research"
SOURCES = sorted(
    path for folder in ("vision_research", "tests", "benchmarks", ".ci") for path in (ROOT / folder).rglob("*.py")
)
MAX_FILE, MAX_FUNCTION = 250, 40

# Files over the limit, and why they stay whole.
LONG_FILES = {
    "vision_research/config/schema.py": "people look every key up in it; most of it is their descriptions",
    "benchmarks/export_zoo.py": "half of it is the list of configs",
}
# Functions over the limit, and why they stay whole.
LONG_FUNCTIONS: dict[str, str] = {}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


# -- lengths


def test_a_file_has_at_most_250_lines() -> None:
    long = {name_of(path): n for path in SOURCES if (n := len(path.read_text().splitlines())) > MAX_FILE}

    assert {name: lines for name, lines in long.items() if name not in LONG_FILES} == {}
    assert set(LONG_FILES) <= set(long), "an exception that is short enough now is none"


@pytest.mark.slow
def test_a_function_has_at_most_40_lines_beside_its_docstring() -> None:
    long = {
        node.name: lines
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := length_of(node)) > MAX_FUNCTION
    }

    assert {name: lines for name, lines in long.items() if name not in LONG_FUNCTIONS} == {}
    assert set(LONG_FUNCTIONS) <= set(long), "an exception that is short enough now is none"


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines from `def` to the last one, without the docstring's."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        assert first.end_lineno is not None
        lines -= first.end_lineno - first.lineno + 1
    return lines


def test_no_two_test_files_have_one_name() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name not in ("conftest.py", "__init__.py")]
    assert sorted(name for name, count in Counter(names).items() if count > 1) == []


# -- documented parameters

Function = tuple[str, ast.FunctionDef, bool]


def public_functions(body: list[ast.stmt], file: str, overrides: bool = False) -> Iterator[Function]:
    """Yield file, function, and whether it may override one of a base class."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, file, bool(node.bases))
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not is_of_mmcv(node):
            yield file, node, overrides


def is_of_mmcv(function: ast.FunctionDef) -> bool:
    """Whether a function stands for one of mmcv's extension, whose arguments it takes."""
    return any(ast.unparse(decorator).startswith("operator(") for decorator in function.decorator_list)


def has_several_parameters(function: ast.FunctionDef) -> bool:
    arguments = function.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")]) >= 2


@pytest.mark.slow
def test_a_public_function_of_two_parameters_documents_them() -> None:
    functions = [one for path in MODULES.values() for one in public_functions(tree_of(path).body, name_of(path))]
    several = [one for one in functions if has_several_parameters(one[1])]
    lacking = [one for one in several if "Args:" not in (ast.get_docstring(one[1]) or "")]
    documented = {function.name for one in several if one not in lacking for function in [one[1]]}

    assert len(several) > 400
    # An override takes what the method of its base class documents.
    assert [
        f"{file}:{function.name}"
        for file, function, overrides in lacking
        if not (overrides and function.name in documented)
    ] == []


# -- words that are read

SCHEMAS = [PACKAGE / "config" / name for name in ("schema.py", "command_schema.py")]


def schema_keys() -> Iterator[tuple[str, str]]:
    for path in SCHEMAS:
        for owner in tree_of(path).body:
            if isinstance(owner, ast.ClassDef) and owner.decorator_list:
                for node in owner.body:
                    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                        yield owner.name, node.target.id


def words_used(path: Path) -> Iterator[str]:
    """Yield what matches the attributes and the strings of a module: f"{split}_ann" is any word before `_ann`."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.escape(node.value)
        elif isinstance(node, ast.JoinedStr) and any(isinstance(part, ast.Constant) for part in node.values):
            yield pattern_of(node, path)


def pattern_of(string: ast.JoinedStr, path: Path) -> str:
    """Return a regular expression of what an f-string can be, `{__package__}` being known and all else words."""
    pattern = ""
    for part in string.values:
        if isinstance(part, ast.Constant):
            pattern += re.escape(part.value)
        elif isinstance(part, ast.FormattedValue) and ast.unparse(part.value) == "__package__":
            pattern += re.escape(module_of(path).rpartition(".")[0])
        else:
            pattern += r"\w+"
    return pattern


def test_every_key_of_the_schema_is_read_by_some_module() -> None:
    keys = list(schema_keys())
    used = {word for path in MODULES.values() if path not in SCHEMAS for word in words_used(path)}
    patterns = [re.compile(word) for word in used if re.fullmatch(r"(\w|\\w\+)*\w{4}(\w|\\w\+)*", word)]

    assert len(keys) > 150
    unread = [f"{owner}.{key}" for owner, key in keys if key not in used]
    assert [name for name in unread if not any(one.fullmatch(name.rpartition(".")[2]) for one in patterns)] == []


# -- modules that some test imports, itself or through another module


@cache
def imports_of(path: Path) -> set[str]:
    """Collect the modules of the package that a file imports or names, in a string too (`python -m`, a late import)."""
    named: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named |= set(re.findall(r"vision_research(?:\.\w+)+", node.value))
        elif isinstance(node, ast.JoinedStr) and (pattern := pattern_of(node, path)).startswith("vision_research"):
            named |= {name for name in MODULES if re.fullmatch(pattern, name)}
        elif isinstance(node, ast.keyword) and node.arg == "module" and isinstance(node.value, ast.Constant):
            named.add(f"vision_research.{node.value.value}")
    return named & set(MODULES)


@pytest.mark.slow
def test_every_module_is_imported_by_some_test() -> None:
    tests = sorted((ROOT / "tests").rglob("*.py"))
    reached: set[str] = set()
    new = {name for path in tests for name in imports_of(path)}
    while new:
        reached |= new
        new = {name for module in new for name in imports_of(MODULES[module])} - reached

    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    assert len(MODULES) > 300
    assert sorted(set(MODULES) - reached - packages) == []


def test_what_runs_by_itself_has_our_operators_before_mmdetection_asks_for_them() -> None:
    for path in (ROOT / "benchmarks").glob("*.py"):
        imports = [node for node in tree_of(path).body if isinstance(node, (ast.Import, ast.ImportFrom))]
        names = [getattr(node, "module", None) or node.names[0].name for node in imports]
        packages = [name.partition(".")[0] for name in names]
        needy = [packages.index(name) for name in ("mmcv", "mmdet") if name in packages]
        if needy:
            assert "vision_research" in packages[: min(needy)], f"{path.name}: import vision_research first"
