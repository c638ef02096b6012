"""`make demo` as the first command of a fresh clone, with an empty home."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tidy.source_tree import copy_project

LEFT_OUT = ("PYTHON", "VIRTUAL_ENV", "HEADRACE", "XDG_", "PYENV", "CMAKE", "MAKE", "MFLAGS")


@pytest.mark.builds
@pytest.mark.timeout(1500)
def test_make_demo_is_the_first_command_of_a_fresh_clone_with_an_empty_home(tmp_path):
    clone, home = tmp_path / "clone", tmp_path / "home"
    copy_project(clone)
    subprocess.run(["git", "init", "-q"], cwd=clone, check=True)
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    # A Python that CMake and pip can build with, then only what the system has.
    python = Path(sys.executable).resolve().parent
    environment |= {"HOME": str(home), "PATH": f"{python}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    # Only compiled objects are taken from outside: what they are made of is the same, and it saves minutes.
    if shutil.which("ccache"):
        cache = subprocess.run(["ccache", "-k", "cache_dir"], capture_output=True, text=True, check=True).stdout
        environment["CCACHE_DIR"] = cache.strip()
        environment["WERROR"] = os.environ.get("WERROR", "OFF")
    shown = subprocess.run(
        ["make", "demo"],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout[-5000:]
    for line in ("equals DuckDB over the same rows", "resumed from checkpoint", "equals the uninterrupted run"):
        assert line in shown.stdout, shown.stdout[-5000:]
    assert (clone / ".venv/bin/python").exists()
    assert list((clone / "build/release/bin").glob("hr_test_*")), "make demo builds the tests too: make test is ready"
