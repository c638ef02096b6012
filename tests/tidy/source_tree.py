"""The project's files as the house rules see them: paths, and C++ text without its comments."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED_FOLDERS = {".git", ".venv", "build", "dist", "__pycache__"}
TEXT_SUFFIXES = {
    "",
    ".cc",
    ".cfg",
    ".cmake",
    ".h",
    ".ipynb",
    ".json",
    ".jsonl",
    ".md",
    ".py",
    ".pyi",
    ".sh",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
}


@cache
def project_files() -> tuple[Path, ...]:
    """Return every file that is, or would be, committed; in a copy without git, every file."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode == 0 and listing.stdout:
        found = [ROOT / name for name in listing.stdout.split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if not SKIPPED_FOLDERS.intersection(path.relative_to(ROOT).parts)]
    return tuple(sorted(path for path in found if path.is_file()))


def copy_project(target: Path) -> None:
    """Put what a clone would hold, if all was committed, into a folder."""
    for path in project_files():
        copy = target / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)


def files_below(folder: str, *suffixes: str) -> list[Path]:
    """Return the project's files below a folder whose names end in one of the suffixes."""
    return [path for path in project_files() if path.is_relative_to(ROOT / folder) and path.suffix in suffixes]


def name_of(path: Path) -> str:
    """Return the path as it is written in messages: relative to the root, with slashes."""
    return path.relative_to(ROOT).as_posix()


_CPP_TOKENS = re.compile(
    r"""
    (?P<comment> //[^\n]* | /\*.*?\*/ )
  | (?P<raw> R"(?P<mark>[^(\s]{0,16})\(.*?\)(?P=mark)" )
  | (?P<string> "(?:\\.|[^"\\\n])*" )
  | (?P<char> (?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+' )
    """,
    re.VERBOSE | re.DOTALL,
)


def cpp_without_comments(text: str, *, keep_strings: bool = False) -> str:
    """Blank out comments and, unless told otherwise, strings; lines keep their numbers."""

    def blank(match: re.Match[str]) -> str:
        if match["comment"] is None and keep_strings:
            return match[0]
        lines = "\n" * match[0].count("\n")
        return lines if match["comment"] is not None else '""' + lines

    return _CPP_TOKENS.sub(blank, text)


def numbered_matches(pattern: re.Pattern[str], text: str) -> list[tuple[int, str]]:
    """Return (line number, matched text) for each match."""
    return [(text.count("\n", 0, found.start()) + 1, found[0]) for found in pattern.finditer(text)]
