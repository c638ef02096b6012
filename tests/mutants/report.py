"""The comparisons that are flipped, those listed as equivalent, and the committed report of the flips that survived."""

import json
import sys
from collections import Counter
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
class Report:
    """How many flips were tried, and which survived."""

    mutants: int
    caught: dict[str, int]
    equivalent: int
    survived: int
    survivor: list[dict[str, str]] = field(default_factory=list)

    def survived_share(self) -> float:
        return self.survived / (self.mutants - self.equivalent)

    def summary(self) -> str:
        return (
            f"{self.mutants} comparisons flipped: {sum(self.caught.values())} noticed, {self.equivalent} equivalent, "
            f"{self.survived} survived ({self.survived_share():.1%} of those that could be noticed)"
        )

    def write(self) -> None:
        lines = [
            "# Written by `make mutants`: the comparisons whose flip no test noticed, as they stood with the flip.",
            f"mutants = {self.mutants}",
            f"equivalent = {self.equivalent}",
            f"survived = {self.survived}",
            "",
            "[caught]  # by the test program that was the first to notice",
            *(f"{program} = {count}" for program, count in sorted(self.caught.items())),
        ]
        for entry in self.survivor:
            lines += ["", "[[survivor]]", *(f"{name} = {json.dumps(text)}" for name, text in entry.items())]
        SURVIVORS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def committed_report() -> Report:
    return Report(**tomllib.loads(SURVIVORS.read_text(encoding="utf-8")))


def report_of(caught_by: dict[Mutant, str]) -> Report:
    """Count what became of each flip: the program that noticed it, or nothing.

    Raises:
        SystemExit: A flip that is listed as equivalent was noticed.
    """
    listed = {(entry["file"], entry["flipped"]) for entry in equivalent_mutants()}
    noticed = [mutant for mutant, program in caught_by.items() if program and mutant.key in listed]
    if noticed:
        raise SystemExit(f"listed as equivalent, but noticed: {noticed}")
    survivors = [mutant for mutant, program in caught_by.items() if not program and mutant.key not in listed]
    caught = Counter(program for program in caught_by.values() if program)
    return Report(
        mutants=len(caught_by),
        caught=dict(caught),
        equivalent=len(caught_by) - sum(caught.values()) - len(survivors),
        survived=len(survivors),
        survivor=[{"file": mutant.file, "flipped": mutant.flipped} for mutant in survivors],
    )
