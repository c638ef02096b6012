"""Every format that lies on disk is drawn above its writer and held by a golden file."""

import re
import sys

import pytest

from tidy.ledger import cpp_test_exists, python_test_exists
from tidy.source_tree import ROOT, cpp_without_comments, files_below, name_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LISTED = tomllib.loads((ROOT / "tests/tidy/file_formats.toml").read_text(encoding="utf-8"))
FORMATS = LISTED["format"]
NAMES = [entry["name"] for entry in FORMATS]
WRITES_BYTES = re.compile(r"\bByteWriter\b")
COMMENT = re.compile(r"^\s*//(.*)$", re.MULTILINE)
# Types that are not writers themselves.
DECLARES_THE_WRITER = {"cpp/headrace/base/bytes.h", "cpp/headrace/base/bytes.cc"}


def files_that_write_bytes() -> set[str]:
    return {
        name_of(path)
        for folder in ("cpp/headrace", "cpp/bindings")
        for path in files_below(folder, ".cc")
        if WRITES_BYTES.search(cpp_without_comments(path.read_text(encoding="utf-8")))
    } - DECLARES_THE_WRITER


def comments_of(path: str) -> str:
    return "\n".join(COMMENT.findall((ROOT / path).read_text(encoding="utf-8")))


def test_every_file_that_writes_bytes_is_listed():
    listed = {entry["writer"] for entry in FORMATS} | set(LISTED["not_a_format"])
    assert files_that_write_bytes() - listed == set(), "draw the format and list it in file_formats.toml"
    assert {name for name in listed if not (ROOT / name).is_file()} == set()
    assert set(LISTED["not_a_format"]) <= files_that_write_bytes()


@pytest.mark.parametrize("entry", FORMATS, ids=NAMES)
def test_format_is_drawn_above_its_writer(entry):
    assert entry["shows"] in comments_of(entry.get("drawn", entry["writer"]))


@pytest.mark.parametrize("entry", FORMATS, ids=NAMES)
def test_format_has_a_golden_file_and_a_test_that_reads_it(entry):
    empty = [name for name in entry["golden"] if not (ROOT / name).is_file() or not (ROOT / name).stat().st_size]
    assert empty == []
    name = entry["test"]
    assert cpp_test_exists(name[4:]) if name.startswith("cpp:") else python_test_exists(name)


def test_every_golden_file_belongs_to_a_format():
    listed = {name for entry in FORMATS for name in entry["golden"]}
    folders = [path for folder in ("tests/cpp", "tests/python") for path in (ROOT / folder).rglob("golden")]
    present = {name_of(path) for folder in folders for path in folder.rglob("*") if path.is_file()}
    # The whole checkpoint is one golden file in many.
    assert {name for name in present - listed if "/golden/checkpoint_v1/" not in name} == set()
