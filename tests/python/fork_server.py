"""Starts many short Python programs quickly: a process that has imported what headrace imports, but not headrace,
forks a child for each. A child runs its program as `__main__` and leaves through the whole of the interpreter's exit.

Run as a script it is that process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PRELOADED = ("asyncio", "copy", "dataclasses", "decimal", "enum", "threading", "uuid", "pyarrow")
# What a process says that ends in a way it should not.
ABORTS = ("Fatal Python error", "terminate called", "FATAL:", "Segmentation fault", "Sanitizer", "runtime error:")


class Child:
    """A program that runs."""

    def __init__(self, server: ForkServer, pid: int, output: Path) -> None:
        self._server = server
        self._output = output
        self.pid = pid

    def output(self) -> str:
        """What it has printed so far, errors too."""
        return self._output.read_text()

    def aborted(self) -> bool:
        """True when it printed the last words of a crash."""
        return any(text in self.output() for text in ABORTS)

    def wait_for_line(self, line: str, seconds: float = 30) -> None:
        """Waits until it has printed `line`."""
        deadline = time.monotonic() + seconds
        while f"{line}\n" not in self.output():
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.002)

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float) -> int | None:
        """Its exit code, minus the signal that ended it; None when it still runs then, and is killed."""
        code: int | None = self._server.ask(wait=self.pid, seconds=seconds)
        return code


class ForkServer:
    """The server as tests see it; leaves with its `with` block."""

    def __init__(self) -> None:
        tests = str(Path(__file__).parents[1])
        path = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)
        assert self._process.returncode == 0

    def ask(self, **request: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, program: Path, output: Path, *arguments: object) -> Child:
        """Runs the file `program`; what it prints goes to the file `output`."""
        output.touch()
        pid = self.ask(start=str(program), output=str(output), arguments=[str(argument) for argument in arguments])
        return Child(self, pid, output)


def wait(pid: int, seconds: float) -> int | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def become(request: dict[str, Any]) -> None:
    """Makes this process, freshly forked, one that was started to run the program."""
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = [request["start"], *request["arguments"]]


def serve() -> dict[str, Any] | None:
    """Answers requests; returns one in the child that shall run it, and None in the server at its end."""
    for name in PRELOADED:
        __import__(name)
    running = set()
    for line in iter(sys.stdin.readline, ""):
        request: dict[str, Any] = json.loads(line)
        if "wait" in request:
            answer = wait(request["wait"], request["seconds"])
            running.discard(request["wait"])
        else:
            answer = os.fork()
            if answer == 0:
                return request
            running.add(answer)
        print(json.dumps(answer), flush=True)
    for pid in running:  # of tests that failed before they waited
        os.kill(pid, signal.SIGKILL)
    return None


if __name__ == "__main__":
    asked = serve()
    if asked is not None:
        become(asked)
        exec(compile(Path(asked["start"]).read_text(), asked["start"], "exec"), globals())
