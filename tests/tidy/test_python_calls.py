"""How the bindings call user code: by vectorcall, through one class, without pybind11 in the hot types."""

import re

import pytest

from tidy.source_tree import ROOT, cpp_without_comments, name_of, numbered_matches

# What runs once a record. PyObject_CallMethod and PyObject_CallNoArgs stand in calls that are made once a batch, a
# window or a life.
HOT = (
    "row_operators", "process_operators", "fold_operators", "sink_operators", "window_function", "user_function",
    "python_operator", "context_types", "value_state_type", "list_state_type", "map_state_type", "row_type",
    "result_stream", "row_emitter", "record_reader", "record_writer", "runtime_context_type", "running_source",
)  # fmt: skip
# These build an argument tuple (or a wrapper) for each call.
SLOW = re.compile(r"\bPyObject_(?:Call|CallObject|CallFunctionObjArgs)\s*\(|\bPyEval_CallObject|py::function|\.attr\(")
WRAPPED = re.compile(r"py::class_|pybind11::class_|\.def\(")


def hot_files():
    return [
        path
        for stem in HOT
        for suffix in (".h", ".cc")
        if (path := ROOT / "cpp/bindings" / f"{stem}{suffix}").is_file()
    ]


@pytest.mark.parametrize("pattern", [SLOW, WRAPPED], ids=["slow calls", "wrapped types"])
def test_user_functions_are_called_by_vectorcall(pattern):
    files = hot_files()
    assert len(files) >= len(HOT)
    found = [
        f"{name_of(path)}:{line}: {text}"
        for path in files
        for line, text in numbered_matches(pattern, cpp_without_comments(path.read_text(encoding="utf-8")))
    ]
    assert not found, "\n" + "\n".join(found)
    header = cpp_without_comments((ROOT / "cpp/bindings/user_function.h").read_text(encoding="utf-8"))
    invoke = header[header.index("PyObject* Invoke(") :]
    assert invoke.count("PyObject_Vectorcall(") == 2
    assert "PY_VECTORCALL_ARGUMENTS_OFFSET" in invoke


@pytest.mark.parametrize("text", ["PyObject_Call(f, args, nullptr)", "PyObject_CallObject (f, args)", 'o.attr("x")'])
def test_slow_calls_are_found(text):
    assert SLOW.search(text)
    assert not SLOW.search("PyObject_CallOneArg(f, a); PyObject_CallNoArgs(f); PyObject_CallMethod(f, n, nullptr)")
