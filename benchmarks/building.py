"""Builds what the pipelines compare headrace with: the bare loop, and an environment for each peer."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from measuring import ROOT

BARE_LOOP = ROOT / "benchmarks/bare_loop/bare_loop.cc"
PEERS = ROOT / "build/peers"


def build_bare_loop() -> ModuleType:
    """Compile bare_loop.cc with -O2 into build/bare_loop, unless that is done, and import it."""
    module = ROOT / "build/bare_loop" / f"bare_loop{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not module.exists() or module.stat().st_mtime < BARE_LOOP.stat().st_mtime:
        module.parent.mkdir(parents=True, exist_ok=True)
        compiler = shlex.split(os.environ.get("CXX", "c++"))
        flags = ["-std=c++20", "-O2", "-Wall", "-fPIC", "-shared", "-fvisibility=hidden"]
        include = f"-I{sysconfig.get_path('include')}"
        subprocess.run([*compiler, *flags, include, BARE_LOOP, "-o", module], check=True)
    spec = importlib.util.spec_from_file_location("bare_loop", module)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def make_peer(package: str) -> Path:
    """Return the Python of build/peers/<package>, made on first use.

    A peer never comes into the project's own environment: csp asks for an older pyarrow.
    """
    home = PEERS / package
    python = home / "bin/python"
    ready = home / "ready"
    if not ready.exists():
        shutil.rmtree(home, ignore_errors=True)
        print(f"installing {package} into {home.relative_to(ROOT)}", flush=True)
        venv.create(home, with_pip=True, symlinks=True)
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", package]
        subprocess.run(install, check=True)
        ready.touch()
    return python


class Peer:
    """Another engine in a process of its own that answers requests; see peers/serving.py."""

    def __init__(self, package: str) -> None:
        self.package = package
        script = ROOT / f"benchmarks/peers/{package}_jobs.py"
        self._process = subprocess.Popen(
            [make_peer(package), script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            text=True,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.package} ended with status {self._process.wait()}")
        return json.loads(answer)

    def seconds(self, job: str, results: int) -> float:
        """Run a job and return its time; it must have made that many results."""
        answer = self.ask(run=job, check=False)
        if answer["results"] != results:
            raise RuntimeError(f"{self.package} {job}: {answer['results']} results, not {results}")
        return answer["seconds"]

    def version(self) -> str:
        """Return the version that is installed."""
        code = f"import importlib.metadata as m; print(m.version({self.package!r}))"
        command = [make_peer(self.package), "-c", code]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
