"""The comparisons that are flipped, those listed as equivalent, and the committed report of the flips that survived."""

import hashlib
import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from mutants.comparisons import comparisons_of
from tidy.source_tree import ROOT, files_below, name_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDERS = ("windows", "state", "checkpoint")
EQUIVALENT = ROOT / "tests/mutants/equivalent.toml"
SURVIVORS = ROOT / "tests/mutants/survivors.toml"
SURVIVORS_SHARE_MAX = 0.10


@dataclass(frozen=True)
class Mutant:
    """One comparison of the engine and the line as it is with the flip."""

    number: int
    file: str
    line: int
    flipped: str

    @property
    def folder(self) -> str:
        return Path(self.file).parent.name

    @property
    def key(self) -> tuple[str, str]:
        """What names the flip when lines have moved."""
        return self.file, self.flipped


def mutated_files() -> list[Path]:
    return [path for folder in FOLDERS for path in files_below(f"cpp/headrace/{folder}", ".cc", ".h")]


def all_mutants() -> list[Mutant]:
    """Return all flips, numbered from zero."""
    mutants = []
    for path in mutated_files():
        for comparison in comparisons_of(path.read_text(encoding="utf-8")):
            mutants.append(Mutant(len(mutants), name_of(path), comparison.line, comparison.flipped))
    return mutants


def equivalent_mutants() -> list[dict[str, str]]:
    """Return what is listed as equivalent: file, flipped line and the reason."""
    return tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("mutant", [])


@dataclass
class FileReport:
    """What became of the flips of one file."""

    name: str
    digest: str  # of its flips: says whether they are those of the tree
    flips: int
    noticed: int
    equivalent: int
    survivors: list[str] = field(default_factory=list)  # the lines as they stood with the flip


@dataclass
class Report:
    """How many flips were tried in each file, and which survived."""

    files: list[FileReport]

    def survived_share(self) -> float:
        could_be_noticed = sum(entry.flips - entry.equivalent for entry in self.files)
        return sum(len(entry.survivors) for entry in self.files) / max(could_be_noticed, 1)

    def summary(self) -> str:
        flips, noticed, equivalent = (
            sum(getattr(entry, name) for entry in self.files) for name in ("flips", "noticed", "equivalent")
        )
        survived = sum(len(entry.survivors) for entry in self.files)
        return (
            f"{flips} comparisons flipped: {noticed} noticed, {equivalent} equivalent, "
            f"{survived} survived ({self.survived_share():.1%} of those that could be noticed)"
        )

    def of_this_tree(self) -> list[FileReport]:
        """Return the entries whose flips the tree still has, exactly."""
        digests = digests_of(all_mutants())
        return [entry for entry in self.files if digests.get(entry.name) == entry.digest]

    def write(self) -> None:
        lines = [
            "# Written by `make mutants`: what became of the flips of each file; survivors as they stood with the flip."
        ]
        for entry in sorted(self.files, key=lambda entry: entry.name):
            lines += ["", "[[files]]", f'name = "{entry.name}"', f'digest = "{entry.digest}"']
            lines += [f"{name} = {getattr(entry, name)}" for name in ("flips", "noticed", "equivalent")]
            lines += ["survivors = [", *(f"  {json.dumps(text)}," for text in entry.survivors), "]"]
        SURVIVORS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def digests_of(mutants: list[Mutant]) -> dict[str, str]:
    """Return a digest of each file's flips, which stays the same when lines move."""
    flips: dict[str, list[str]] = defaultdict(list)
    for mutant in mutants:
        flips[mutant.file].append(mutant.flipped)
    return {file: hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] for file, lines in flips.items()}


def equivalent_keys() -> set[tuple[str, str]]:
    """Return file and flipped line of what is listed as equivalent, as Mutant.key has them."""
    return {(entry["file"], entry["flipped"]) for entry in equivalent_mutants()}


def committed_report() -> Report:
    """Return the report as it was written, but that survivors which were listed since are equivalent."""
    listed = equivalent_keys()
    files = [FileReport(**entry) for entry in tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))["files"]]
    for entry in files:
        left = [flipped for flipped in entry.survivors if (entry.name, flipped) not in listed]
        entry.equivalent += len(entry.survivors) - len(left)
        entry.survivors = left
    return Report(files)


def listed_but_noticed(caught_by: dict[Mutant, str]) -> list[Mutant]:
    """Return the flips that are listed as equivalent and were noticed all the same."""
    listed = equivalent_keys()
    return [mutant for mutant, program in caught_by.items() if program and mutant.key in listed]


def report_of(caught_by: dict[Mutant, str]) -> Report:
    """Sort by file what became of each flip: the program that noticed it, or nothing."""
    listed = equivalent_keys()
    files = {}
    for name, digest in digests_of(list(caught_by)).items():
        own = [mutant for mutant in caught_by if mutant.file == name]
        survivors = [mutant.flipped for mutant in own if not caught_by[mutant] and mutant.key not in listed]
        caught = sum(bool(caught_by[mutant]) for mutant in own)
        files[name] = FileReport(name, digest, len(own), caught, len(own) - caught - len(survivors), survivors)
    return Report(list(files.values()))
