"""Import rules that import-linter's contracts (pyproject.toml) can't say: private names, calls, functions."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import usage_assets

ROOT = Path(usage_assets.__file__).parent


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its path."""
    found = sorted(ROOT.rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in found}


def imported(tree: ast.AST) -> Iterator[str]:
    """What a part of a module imports, by its full name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def connects(tree: ast.AST) -> bool:
    """Whether a module opens a connection of DuckDB."""
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    opens = any(ast.unparse(func) == "duckdb.connect" for func in calls)
    return opens or any(name == "duckdb.connect" for name in imported(tree))


def imports_when_called(tree: ast.AST) -> bool:
    """Whether a function of a module imports a module of ours."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return any(name.split(".")[0] == "usage_assets" for function in functions for name in imported(function))


def test_private_names_of_dagster_are_imported_in_two_modules_of_orchestration():
    found = {path for path, tree in modules().items() if any(name.startswith("dagster._") for name in imported(tree))}
    assert found == {"orchestration/event_storage.py", "orchestration/dagster_private.py"}


def test_only_warehouse_and_serving_open_connections():
    found = {path.split("/")[0] for path, tree in modules().items() if connects(tree)}
    assert found <= {"warehouse", "serving"}


def test_modules_import_ours_at_their_head():
    found = {path for path, tree in modules().items() if imports_when_called(tree)}
    # the command line stays quick: a command and a kind import what they need when they are called
    allowed = {path for path in found if path.startswith("cli/") or Path(path).match("kinds/*/kind.py")}
    assert found == allowed


@pytest.mark.parametrize(
    ("source", "breaks"),
    [
        ("import duckdb\nwith duckdb.connect() as con: pass", True),
        ("from duckdb import connect", True),
        ("from usage_assets.warehouse.connections import connect\nconnect()", False),
    ],
)
def test_a_connection_is_found_however_it_is_opened(source: str, breaks: bool):
    assert connects(ast.parse(source)) == breaks
