"""A seed of the simulation that fails says how to replay it, and the command it prints fails in the same way."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIMULATION = ROOT / "build/release/bin/hr_test_simulation"


def run(command, **environment):
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def failure_of(output):
    found = re.search(r'outcome\.failure\s+Which is: (".*")', output)
    return found[1] if found else None


def test_failing_seed_is_printed_with_a_command_that_replays_it():
    # A disk that does not keep what it has synced: a power loss may empty what was published.
    lying = {"HEADRACE_SIM_LYING_DISK": "1", "HEADRACE_SIM_START": "1"}
    many = run([SIMULATION, "--gtest_filter=*EverySeed*"], HEADRACE_SIM_SEEDS="100", **lying)
    assert many.returncode != 0
    found = re.search(r"^seed (\d+): .*\nreplay: (make sim SEEDS=1 START=(\d+))$", many.stdout, re.MULTILINE)
    assert found is not None, many.stdout
    assert found[1] == found[3]
    assert failure_of(many.stdout) is not None

    replayed = run(found[2].split(), HEADRACE_SIM_LYING_DISK="1")
    assert replayed.returncode != 0
    assert failure_of(replayed.stdout) == failure_of(many.stdout)

    on_an_honest_disk = run(found[2].split())
    assert on_an_honest_disk.returncode == 0, on_an_honest_disk.stdout


def test_seed_is_printed_when_the_process_ends_in_it():
    # As a failed check of the engine ends it.
    environment = {**os.environ, "HEADRACE_SIM_SEEDS": "100000", "HEADRACE_SIM_START": "1"}
    command = [SIMULATION, "--gtest_filter=*EverySeed*"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while "seeds from" not in process.stdout.readline():
            assert process.poll() is None
        time.sleep(0.5)
        process.send_signal(signal.SIGABRT)
        told = process.communicate()[1]
    assert process.returncode == -signal.SIGABRT
    found = re.search(r"^seed (\d+): the process ended\nreplay: make sim SEEDS=1 START=(\d+)$", told, re.MULTILINE)
    assert found is not None, told
    assert found[1] == found[2]


def libraries_of(target):
    """The static libraries of the engine that the target is linked with, from the link line."""
    ninja = (ROOT / "build/release/build.ninja").read_text(encoding="utf-8")
    line = re.search(rf"^build {target}[^\n]*LINKER[^\n]*\n(?:  [^\n]*\n)*?  LINK_LIBRARIES = ([^\n]*)", ninja, re.M)
    assert line is not None, target
    return set(re.findall(r"\S+/libhr_\w+\.a", line[1]))


def test_simulation_links_the_libraries_of_the_module():
    module = libraries_of(r"cpp/bindings/_core\S*\.so")
    assert {Path(library).stem for library in module} >= {"libhr_runtime", "libhr_checkpoint", "libhr_state"}
    assert libraries_of("bin/hr_test_simulation") == module


def test_no_source_asks_whether_it_is_compiled_for_a_simulation():
    # Both link the same archives, so only the preprocessor could tell the two apart.
    conditions = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in sorted((ROOT / "cpp/headrace").rglob("*"))
        if path.suffix in (".h", ".cc")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"\s*#\s*(?:if|ifdef|ifndef|elif)\b.*(?:SIM|TEST)", line)
    ]
    assert conditions == []
