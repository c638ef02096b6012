"""The notebooks run from top to bottom; what they assert about the engine holds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"

EXECUTE = """
import sys
import nbclient
import nbformat

notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


@pytest.mark.parametrize("name", ["03_backends_and_recovery", "04_partitions_and_interval"])
def test_notebook_runs_and_shows_plots(name, tmp_path):
    executed = tmp_path / "executed.ipynb"
    environment = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline", "TMPDIR": str(tmp_path)}
    for variable in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        environment[variable] = str(tmp_path / variable.lower())
    ran = subprocess.run(
        [sys.executable, "-c", EXECUTE, NOTEBOOKS / f"{name}.ipynb", executed],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-4000:]
    cells = json.loads(executed.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2


def test_notebooks_are_committed_without_outputs():
    for path in NOTEBOOKS.glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert cell.get("outputs", []) == [], path
            assert cell.get("execution_count") is None, path
