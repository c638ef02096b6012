"""Every #include, and every CMake target, keeps to cpp/layers.toml."""

import re
import sys
from functools import cache

from tidy.source_tree import ROOT, cpp_without_comments, files_below

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
PYTHON_HEADER = re.compile(r"^(Python\.h|pybind11/.*|structmember\.h|frameobject\.h|datetime\.h)$")
ROCKSDB_HEADER = re.compile(r"^rocksdb/.*")
# Folders of cpp/ that are no part of cpp/headrace, and those of them that are Python modules.
BESIDE_THE_ENGINE = {"testing", "bindings", "rocksdb", "rocksdb_module"}
MODULES = {"bindings", "rocksdb_module"}


def read_layers() -> dict[str, list[str]]:
    return tomllib.loads((ROOT / "cpp/layers.toml").read_text(encoding="utf-8"))["layers"]


@cache
def allowed_folders(folder: str) -> frozenset[str]:
    layers = read_layers()
    return frozenset({folder}).union(*(allowed_folders(lower) for lower in layers[folder]))


def folder_of(path: str) -> str | None:
    """Return the layer that an include path or a path below cpp/ belongs to."""
    parts = path.split("/")
    if parts[0] == "headrace" and len(parts) > 2:
        return parts[1]
    return parts[0] if parts[0] in BESIDE_THE_ENGINE and len(parts) > 1 else None


def violations(path_below_cpp: str, text: str) -> list[str]:
    own = folder_of(path_below_cpp)
    found = []
    for bracket, target in INCLUDE.findall(cpp_without_comments(text, keep_strings=True)):
        folder = folder_of(target)
        if bracket == '"' and folder is None:
            found.append(f'{path_below_cpp}: "{target}" is not written from the include root cpp/')
        elif bracket == '"' and (own is None or folder not in allowed_folders(own)):
            found.append(f"{path_below_cpp}: {own} may not include {target}")
        if PYTHON_HEADER.match(target) and own not in MODULES:
            found.append(f"{path_below_cpp}: only {MODULES} include {target}")
        if bracket == "<" and ROCKSDB_HEADER.match(target) and own != "rocksdb":
            found.append(f"{path_below_cpp}: only cpp/rocksdb includes {target}")
    return found


def test_every_folder_has_a_line_and_nothing_else_has():
    folders = {path.parent.name for path in (ROOT / "cpp/headrace").glob("*/CMakeLists.txt")}
    assert set(read_layers()) == folders | BESIDE_THE_ENGINE


def test_layers_have_no_cycle():
    layers = read_layers()
    order = list(layers)
    for folder, lower_folders in layers.items():
        assert all(order.index(lower) < order.index(folder) for lower in lower_folders), folder


def test_includes_keep_to_the_layers():
    found = []
    for path in files_below("cpp", ".h", ".cc"):
        found += violations(path.relative_to(ROOT / "cpp").as_posix(), path.read_text(encoding="utf-8"))
    assert not found, "\n" + "\n".join(found)


def test_cmake_targets_link_what_the_layers_allow():
    for folder, lower_folders in read_layers().items():
        if folder in MODULES:
            continue
        home = ROOT / "cpp" / (folder if folder in BESIDE_THE_ENGINE else f"headrace/{folder}")
        text = (home / "CMakeLists.txt").read_text(encoding="utf-8")
        deps = re.search(r"headrace_library\((\w+)(?:\s+DEPS((?:\s+[a-z]\w*)+?))?\s*(?:EXTERNAL|\))", text)
        assert deps is not None, folder
        assert deps[1] == folder
        assert (deps[2] or "").split() == lower_folders


def test_a_forbidden_include_is_found():
    assert violations("headrace/types/batch.h", '#include "headrace/state/value_state.h"\n')
    assert violations("headrace/types/batch.h", "#include <Python.h>\n")
    assert violations("headrace/types/batch.h", '#include "batch.h"\n')
    assert violations("headrace/state/keyed_state.cc", "#include <rocksdb/db.h>\n")
    assert violations("bindings/module.cc", '#include "rocksdb/rocksdb_store_factory.h"\n')
    assert violations("rocksdb/rocksdb_store.cc", "#include <Python.h>\n")
    assert not violations("headrace/runtime/task.cc", '#include "headrace/base/env.h"\n')
    assert not violations("bindings/gil.h", "#include <pybind11/pybind11.h>\n")
    assert not violations(
        "rocksdb_module/module.cc", '#include <Python.h>\n#include "rocksdb/rocksdb_store_factory.h"\n'
    )
    assert not violations("rocksdb/rocksdb_store.h", "#include <rocksdb/db.h>\n")
    assert not violations("headrace/base/x.h", '// #include "headrace/types/batch.h"\n')
