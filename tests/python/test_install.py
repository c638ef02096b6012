"""The package installs: editable by `make build`, and by pip from a copy of the tree elsewhere."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import headrace
import headrace._core
from tidy.source_tree import ROOT, copy_project


def test_make_build_leaves_headrace_editable():
    assert Path(headrace.__file__) == ROOT / "python/headrace/__init__.py"
    # The native module lies in the environment, not between the sources.
    assert Path(headrace._core.__file__).is_relative_to(sys.prefix)


@pytest.mark.builds
@pytest.mark.timeout(1500)
def test_pip_installs_from_a_copy_of_the_tree_into_a_clean_environment(tmp_path):
    copy = tmp_path / "elsewhere"
    copy_project(copy)
    venv.create(tmp_path / "clean", with_pip=True)
    python = tmp_path / "clean/bin/python"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "HEADRACE"))
    }

    def run(*command):
        finished = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout[-5000:]
        return finished.stdout

    # The same warnings as in the main build, so that the compiler cache knows the files.
    werror = f"cmake.define.HEADRACE_WERROR={os.environ.get('WERROR', 'OFF')}"
    run(python, "-m", "pip", "install", "--disable-pip-version-check", f"--config-settings={werror}", copy)
    printed = run(
        python,
        "-c",
        "import headrace\n"
        "from headrace.datastream import StreamExecutionEnvironment\n"
        "env = StreamExecutionEnvironment.get_execution_environment()\n"
        "stream = env.from_collection([1, 2, 3]).map(lambda n: n * n)\n"
        "print(sorted(stream.execute_and_collect()))\n"
        "print(headrace.__file__)\n",
    )
    assert "[1, 4, 9]" in printed
    assert str(tmp_path / "clean") in printed
