"""What the documents name exists, and nothing in the tree belongs to one machine."""

import re

import pytest

from tidy.source_tree import ROOT, TEXT_SUFFIXES, name_of, project_files

DOCUMENTS = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "cpp/README.md"]
# The documents name files of the engine without the prefix that all of them share.
BASES = ("", "cpp/", "cpp/headrace/", "python/headrace/")
NAMED_FILE = re.compile(r"(?:[\w.-]+/)+(?:[\w-]+(?:\.[a-z]+)?)?|[\w-]+\.(?:h|cc|py|md|toml|txt|sh|json)")
MADE_BY_THE_BUILD = (".venv/", "build/", "dist/")

ARCHITECTURE_LINES_MAX = 300

# Written in pieces, so that this file passes its own test.
MACHINE_PATHS = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/opt/wh" + "eels", ".lib" + "rary/"]
PACKAGE_HOSTS = ["index-" + "url", "find-" + "links"]


def named_files(text: str) -> list[str]:
    without_blocks = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    quoted = re.findall(r"`([^`\n]+)`", without_blocks)
    return [name for name in quoted if NAMED_FILE.fullmatch(name)]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_a_document_names_exists(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    missing = [
        name
        for name in named_files(text)
        if not name.startswith(MADE_BY_THE_BUILD) and not any((ROOT / base / name).exists() for base in BASES)
    ]
    assert not missing, "\n".join(missing)


def test_only_what_looks_like_a_file_is_taken_for_one():
    text = "`runtime/task.cc`, `README.md`, `key_by(x)`, `tests/cpp/<folder>/`, `a / b`, `cpp/`"
    assert named_files(text) == ["runtime/task.cc", "README.md", "cpp/"]


def test_architecture_stays_short():
    lines = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= ARCHITECTURE_LINES_MAX


def test_architecture_has_its_parts():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    parts = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert {
        "The picture",
        "Glossary",
        "Follow one record",
        "Follow one checkpoint",
        "To add an operator",
    } <= set(parts)


def test_nothing_in_the_tree_belongs_to_one_machine():
    found = []
    for path in project_files():
        if path.suffix not in TEXT_SUFFIXES:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{name_of(path)}: {word}" for word in MACHINE_PATHS + PACKAGE_HOSTS if word in text]
    assert not found, "\n" + "\n".join(found)


def test_top_level_holds_only_what_is_agreed():
    agreed = {
        *("pyproject.toml", "CMakeLists.txt", "CMakePresets.json", "Makefile", "LICENSE"),
        *("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"),
        *("cpp", "python", "tests", "notebooks", "benchmarks"),
    }
    present = {path.relative_to(ROOT).parts[0] for path in project_files()}
    assert {name for name in present if not name.startswith(".")} <= agreed
