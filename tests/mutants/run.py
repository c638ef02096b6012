"""Flips comparisons of the engine one at a time and runs the C++ tests: a flip that no test notices survives.

All flips are built at once, into a copy of the tree in build/mutants with the sanitizers of `make asan`, so that a
read beyond an array is noticed too (or, quicker, without them); the environment says which one is on (flip.h). Each
test first runs without a flip and tells which comparisons it makes; a flip is then tried by the tests that make it,
those of its folder first.
"""

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mutants.comparisons import with_switches
from mutants.report import (
    SURVIVORS_SHARE_MAX,
    Mutant,
    Report,
    all_mutants,
    committed_report,
    listed_but_noticed,
    mutated_files,
    report_of,
)
from tidy.source_tree import ROOT, project_files

COPY = ROOT / "build/mutants/source"
PRESETS = ("asan", "debug")
PROCESSES = 2
# A flip may make a loop endless or slow; an endless loop counts as noticed.
SECONDS_AT_LEAST = 10
SLOWER_THAN_UNFLIPPED_MAX = 4
FILE_BYTES_MAX = 1 << 30
# The folders whose tests run the code that is flipped, in the order of trial after the flip's own. Those of recovery
# would take minutes for each flip, as would slow tests of the others: what only they notice counts as survived.
TESTED_BY = ("state", "windows", "checkpoint", "operators", "connectors", "runtime", "testing", "simulation")
QUICK = ("state", "windows", "checkpoint")  # with --quick: the tests of the flipped folders alone
LEFT_OUT = "*SameSeedGivesTheSameTrace"  # simulates the same once more
TEST_SECONDS_MAX = 4.0
QUICKEST_TESTS = 40  # tried before the others: an endless loop is noticed by the time that these may take
ENVIRONMENT = {
    **os.environ,
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:hard_rss_limit_mb=4096",
    "UBSAN_OPTIONS": "halt_on_error=1",
    "GTEST_FAIL_FAST": "1",
    "HEADRACE_SIM_SEEDS": "3",
}


@dataclass
class Test:
    """One test of a program, and what it did without a flip."""

    program: Path
    name: str
    seconds: float = 0
    seen: set[int] = field(default_factory=set)


def write_copy(mutants: list[Mutant]) -> None:
    """Bring the copy up to date; what is the same keeps its time and is not built again."""
    first_numbers = {}
    for mutant in mutants:
        first_numbers.setdefault(ROOT / mutant.file, mutant.number)
    texts = {path.relative_to(ROOT): path.read_bytes() for path in project_files()}
    for path in mutated_files():
        text = with_switches(path.read_text(encoding="utf-8"), first_numbers.get(path, 0))
        texts[path.relative_to(ROOT)] = text.encode()
    texts[Path("cpp/mutants/flip.h")] = (ROOT / "tests/mutants/flip.h").read_bytes()
    for name, text in texts.items():
        target = COPY / name
        if not target.is_file() or target.read_bytes() != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text)
    for path in [*COPY.glob("cpp/**/*"), *COPY.glob("tests/**/*")]:
        if path.is_file() and path.relative_to(COPY) not in texts:
            path.unlink()


def build(preset: str, folders: tuple[str, ...]) -> list[Path]:
    """Configure and build the copy; return the test programs of these folders."""
    write_copy(all_mutants())
    names = [f"hr_test_{folder}" for folder in folders]
    for command in (["cmake", "--preset", preset], ["cmake", "--build", "--preset", preset, "--target", *names]):
        ended = subprocess.run(command, cwd=COPY, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{ended.stdout[-20_000:]}\n{ended.stderr}")
    return [COPY / "build" / preset / "bin" / name for name in names]


def passes(program: Path, names: list[str], seconds_max: float, **environment: str) -> bool:
    """Run tests of a program until one fails; False also when the program ends, or lasts too long twice."""
    for _ in range(2):  # once may be a machine that stood still
        started = subprocess.Popen(
            [program, "--gtest_filter=" + ":".join(names)],
            cwd=COPY,
            env={**ENVIRONMENT, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return started.wait(seconds_max) == 0
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
    return False


def tests_of(program: Path) -> list[Test]:
    listed = subprocess.run(
        [program, "--gtest_list_tests", f"--gtest_filter=-{LEFT_OUT}"],
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT,
    )
    tests = []
    suite = ""
    for line in listed.stdout.splitlines():
        name = line.split("#")[0].strip()
        if line.startswith("  "):
            tests.append(Test(program, suite + name))
        else:
            suite = name
    return tests


def run_unflipped(test: Test) -> Test:
    """Run one test as it is and note the comparisons it makes."""
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / "seen"
        started = time.monotonic()
        if not passes(test.program, [test.name], 600, HEADRACE_MUTANTS_SEEN=str(seen)):
            raise SystemExit(f"{test.program.name} --gtest_filter={test.name} fails without a flip")
        test.seconds = time.monotonic() - started
        test.seen = {int(number) for number in seen.read_text().split()}
    return test


def caught_by(mutant: Mutant, tests: list[Test]) -> str:
    """Return the program that notices a flip; empty when none does."""
    for folder in sorted(TESTED_BY, key=lambda folder: folder != mutant.folder):
        program = f"hr_test_{folder}"
        seeing = [test for test in tests if test.program.name == program and mutant.number in test.seen]
        by_time = sorted(seeing, key=lambda test: test.seconds)
        for chosen in (by_time[:QUICKEST_TESTS], by_time[QUICKEST_TESTS:]):
            if not chosen:
                continue
            seconds_max = SECONDS_AT_LEAST + SLOWER_THAN_UNFLIPPED_MAX * sum(test.seconds for test in chosen)
            names = [test.name for test in chosen]
            if not passes(chosen[0].program, names, seconds_max, HEADRACE_MUTANT=str(mutant.number)):
                return program
    return ""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--only",
        default="",
        help="parts of files' names, with commas between; with --changed these files, tried before or not, else the "
        "report stays as it is",
    )
    options.add_argument("--quick", action="store_true", help="by the tests of these folders alone; more survive")
    options.add_argument("--preset", choices=PRESETS, default="asan", help="debug is quicker and notices a little less")
    options.add_argument("--changed", action="store_true", help="files whose flips are not those of the report")
    chosen = options.parse_args()
    flips = [mutant for mutant in all_mutants() if any(part in mutant.file for part in chosen.only.split(","))]
    again = {mutant.file for mutant in flips} if chosen.only else set()
    kept = committed_report().of_this_tree() if chosen.changed else []
    kept = [entry for entry in kept if entry.name not in again]
    known = {entry.name for entry in kept}

    programs = build(chosen.preset, QUICK if chosen.quick else TESTED_BY)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
    mutants = [mutant for mutant in flips if mutant.file not in known]
    with ThreadPoolExecutor(PROCESSES) as pool:
        tests = list(pool.map(run_unflipped, [test for program in programs for test in tests_of(program)]))
        tests = [test for test in tests if test.seconds <= TEST_SECONDS_MAX]
        print(f"{len(tests)} tests pass in {sum(test.seconds for test in tests):.0f} s without a flip", flush=True)
        programs_that_caught = pool.map(lambda flip: caught_by(flip, tests), mutants)
        outcome = {}
        for mutant, program in zip(mutants, programs_that_caught, strict=True):
            if chosen.changed and outcome and mutant.file != next(reversed(outcome)).file:
                Report(report_of(outcome).files + kept).write()  # so that an interrupted run can be continued
            outcome[mutant] = program
            if not program:
                reached = any(mutant.number in test.seen for test in tests)
                where = f"{mutant.file}:{mutant.line}: {mutant.flipped}"
                print(f"survived{'' if reached else ', in no test'}: {where}", flush=True)
    report = Report(report_of(outcome).files + kept)
    print(report.summary())
    if chosen.changed or not chosen.only:
        report.write()
    wrong = listed_but_noticed(outcome)
    for mutant in wrong:
        print(f"listed as equivalent, but noticed: {mutant.file}:{mutant.line}: {mutant.flipped}")
    return int(bool(wrong) or report.survived_share() > SURVIVORS_SHARE_MAX)


if __name__ == "__main__":
    sys.exit(main())
