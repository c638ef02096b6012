"""The Makefile, the presets and the hooks offer what CONTRIBUTING.md promises."""

import json
import re
import subprocess

from tidy.source_tree import ROOT, name_of, project_files


def targets_of_the_makefile() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert phony is not None
    return set(phony[1].replace("\\\n", " ").split())


def test_make_help_lists_every_target():
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = {line.split()[0] for line in printed.splitlines() if line.startswith("  ")}
    assert listed == targets_of_the_makefile()
    assert all(len(line.split(maxsplit=1)) == 2 for line in printed.splitlines())


def test_every_target_is_declared_phony():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"^([a-z-]+):", text, re.MULTILINE)) == targets_of_the_makefile()


def test_presets_use_ninja_and_builds_use_ccache():
    presets = json.loads((ROOT / "CMakePresets.json").read_text(encoding="utf-8"))
    shown = {preset["name"] for preset in presets["configurePresets"] if not preset.get("hidden")}
    assert shown == {"release", "debug", "asan", "tsan"}
    assert presets["configurePresets"][0]["generator"] == "Ninja"
    root_file = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "include(HeadraceCcache)" in root_file


def test_hooks_run_the_formatters_and_the_type_checker():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    names = set(re.findall(r"- id: ([\w-]+)", hooks))
    assert {"clang-format", "ruff-check", "ruff-format", "mypy"} <= names
    assert hooks.count("language: system") == len(re.findall(r"- id:", hooks))


def test_nothing_is_built_for_more_than_the_baseline():
    # A kernel marks its own variants with __attribute__((target(...))) and chooses at run time.
    found = [
        f"{name_of(path)}: {flag}"
        for path in project_files()
        if path.name == "CMakeLists.txt" or path.suffix == ".cmake" or path.name == "CMakePresets.json"
        for flag in re.findall(r"-m(?:arch|tune|cpu|avx|sse|bmi|fma)[\w=.-]*", path.read_text())
    ]
    assert not found, "\n".join(found)


def test_continuous_integration_runs_tests_sanitizers_and_linters():
    text = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert re.findall(r"^step (\w+)$", text, re.MULTILINE) == ["test", "asan", "lint"]
    assert text.index("step lint") < text.index(".ci/summary.sh")


def test_scripts_are_executable_and_stop_at_the_first_error():
    scripts = sorted((ROOT / ".ci").iterdir())
    assert scripts
    for script in scripts:
        subprocess.run(["bash", "-n", script], check=True)
        assert script.stat().st_mode & 0o111, script.name
        assert "set -euo pipefail" in script.read_text(encoding="utf-8"), script.name
