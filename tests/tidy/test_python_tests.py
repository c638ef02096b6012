"""A test must be able to fail: it asserts where it runs, catches one error, is never skipped."""

import ast
import re
from collections.abc import Iterator

import pytest

from tidy.source_tree import files_below, name_of

ENDS_THE_BLOCK = (ast.Return, ast.Raise, ast.Continue, ast.Break)
ASSERTING_CALLS = ("raises", "warns", "fail")
SKIPPING = re.compile(r"pytest\.(skip|importorskip)\b|mark\.(skip|skipif)\b|\bGTEST_" + r"SKIP\b")
WIDE = ("Exception", "BaseException")


def called_name(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def reached(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a body that can run: inner blocks too, nested functions not."""
    for statement in statements:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        never = isinstance(statement, ast.If | ast.While) and (
            isinstance(statement.test, ast.Constant) and not statement.test.value
        )
        for field in ("body", "orelse", "finalbody"):
            if not (never and field == "body"):
                yield from reached(getattr(statement, field, []))
        for inner in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
            yield from reached(inner.body)
        if isinstance(statement, ENDS_THE_BLOCK):
            return


def expressions_of(statement: ast.stmt) -> Iterator[ast.Call]:
    """Yield the calls in a statement's own expressions, lambdas and inner statements left out."""
    waiting = [
        child
        for child in ast.iter_child_nodes(statement)
        if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case)
    ]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Call):
            yield node
        waiting.extend(ast.iter_child_nodes(node))


def can_fail(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    for statement in reached(function.body):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if isinstance(statement, ast.Assert):
            return True
        for call in expressions_of(statement):
            name = called_name(call)
            if name in ASSERTING_CALLS or name.startswith("assert_"):
                return True
    return False


def functions_under_test(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for holder in [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]:
        for node in holder.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield node


def catches(item: ast.withitem) -> bool:
    return isinstance(item.context_expr, ast.Call) and called_name(item.context_expr) == "raises"


def nested_raises(tree: ast.AST, *, inside: bool = False) -> Iterator[int]:
    here = inside
    if isinstance(tree, ast.With | ast.AsyncWith):
        count = sum(catches(item) for item in tree.items)
        if count > 1 or (count and inside):
            yield tree.lineno
        here = inside or count > 0
    for child in ast.iter_child_nodes(tree):
        yield from nested_raises(child, inside=here)


def swallowed_errors(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            wide = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in WIDE)
            if wide and all(isinstance(inner, ast.Pass) for inner in node.body):
                yield node.lineno
        elif (
            isinstance(node, ast.Call)
            and called_name(node) == "suppress"
            and any(isinstance(arg, ast.Name) and arg.id in WIDE for arg in node.args)
        ):
            yield node.lineno


def parsed(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in files_below(folder, ".py"):
            yield name_of(path), ast.parse(path.read_text(encoding="utf-8"))


def test_every_test_can_fail():
    found = [
        f"{name}:{function.lineno}: {function.name} has no assert that runs"
        for name, tree in parsed("tests")
        if name.rsplit("/", 1)[-1].startswith("test_")
        for function in functions_under_test(tree)
        if not can_fail(function)
    ]
    assert not found, "\n" + "\n".join(found)


def test_no_raises_inside_raises():
    found = [f"{name}:{line}" for name, tree in parsed("tests") for line in nested_raises(tree)]
    assert not found, "\n" + "\n".join(found)


def test_no_error_is_swallowed_unseen():
    found = [
        f"{name}:{line}" for name, tree in parsed("python", "tests", "benchmarks") for line in swallowed_errors(tree)
    ]
    assert not found, "\n" + "\n".join(found)


def test_nothing_is_skipped():
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in files_below("tests", ".py", ".cc", ".h")
        if path.name != "test_python_tests.py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if SKIPPING.search(line)
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("assert x", True),
        ("with pytest.raises(ValueError):\n        f()", True),
        ("np.testing.assert_array_equal(a, b)", True),
        ("for x in y:\n        assert x", True),
        ("f()", False),
        ("return\n    assert x", False),
        ("def inner():\n        assert x", False),
        ("f(lambda: pytest.fail('x'))", False),
        ("if False:\n        assert x", False),
    ],
)
def test_an_assert_counts_when_it_can_run(body, expected):
    (function,) = functions_under_test(ast.parse(f"def test_x():\n    {body}\n"))
    assert can_fail(function) is expected


def test_nested_raises_and_swallowed_errors_are_found():
    nested = "with pytest.raises(A):\n    with pytest.raises(B):\n        f()\n"
    assert list(nested_raises(ast.parse(nested))) == [2]
    assert list(nested_raises(ast.parse("with raises(A), raises(B):\n    f()\n"))) == [1]
    swallowing = "try:\n    f()\nexcept Exception:\n    pass\n"
    assert list(swallowed_errors(ast.parse(swallowing))) == [3]
    assert list(swallowed_errors(ast.parse("with suppress(Exception):\n    f()\n"))) == [1]
