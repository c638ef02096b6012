"""The engine computes with its own code: it calls no duckdb, polars or pyarrow.compute."""

import ast
import re

import pytest

from tidy.source_tree import ROOT, cpp_without_comments, files_below, name_of, numbered_matches

BANNED_MODULES = ("duckdb", "polars", "pyarrow.compute", "pyarrow.acero")
CPP_IMPORT = re.compile(r'"(?:duckdb|polars|pyarrow\.(?:compute|acero))(?:\.[\w.]+)?"')

# Handing the result over as a polars frame needs polars; nothing is computed there.
ALLOWED = {("to_polars", "polars")}


def imported_modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        if called in ("__import__", "import_module") and node.args:
            literal = node.args[0]
            return [literal.value] if isinstance(literal, ast.Constant) else []
    return []


def is_banned(module: str) -> bool:
    return any(module == banned or module.startswith(f"{banned}.") for banned in BANNED_MODULES)


def violations(source: str) -> list[str]:
    found = []

    def visit(node: ast.AST, function: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name
        found.extend(
            f"line {node.lineno}: {module}"
            for module in imported_modules(node)
            if is_banned(module) and (function, module) not in ALLOWED
        )
        for child in ast.iter_child_nodes(node):
            if not is_type_checking(node, child):
                visit(child, function)

    visit(ast.parse(source), "")
    return found


def is_type_checking(node: ast.AST, child: ast.AST) -> bool:
    """Tell whether the child runs only in a type checker."""
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
        and child in node.body
    )


def test_python_package_imports_no_other_engine():
    found = [
        f"{name_of(path)}: {violation}"
        for path in files_below("python/headrace", ".py")
        if not path.is_relative_to(ROOT / "python/headrace/examples")
        for violation in violations(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n" + "\n".join(found)


def test_cpp_imports_no_other_engine():
    found = [
        f"{name_of(path)}:{line}: {text}"
        for path in files_below("cpp", ".h", ".cc")
        for line, text in numbered_matches(
            CPP_IMPORT, cpp_without_comments(path.read_text(encoding="utf-8"), keep_strings=True)
        )
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "import duckdb",
        "def f():\n    import polars as pl",
        "from pyarrow import compute as pc",
        "import pyarrow.compute",
        "importlib.import_module('duckdb')",
    ],
)
def test_a_banned_import_is_found(source):
    assert len(violations(source)) == 1


def test_the_import_in_to_polars_and_those_for_type_checkers_are_allowed():
    assert violations("def to_polars(self):\n    import polars\n") == []
    assert violations("if TYPE_CHECKING:\n    import polars\n") == []
