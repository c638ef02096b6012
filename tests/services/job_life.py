"""One life of the program `remote_job.py`, as a test follows it."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

_TESTS = Path(__file__).parents[1]
_PROGRAM = _TESTS / "python" / "programs" / "remote_job.py"
_LINE_SECONDS = 60


class JobLife:
    """Starts with construction. Each line that the program says is awaited, not guessed."""

    def __init__(self, configuration, output, rows=20_000, rate=0.0, **more):
        life = {"configuration": configuration, "output": str(output), "rows": rows, "rate": rate, **more}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", str(_PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(_TESTS)},
        )  # fmt: skip
        self._process.stdin.write(json.dumps(life) + "\n")
        self._process.stdin.flush()
        self.lines = []
        self._unread = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self._unread.put(line.rstrip("\n"))
        self._unread.put(None)

    def wait_for(self, *starts, count=1):
        """The `count`-th line from now on that starts with one of these."""
        while True:
            line = self._unread.get(timeout=_LINE_SECONDS)
            if line is None:
                raise AssertionError(f"it ended without {starts}: {self.lines} {self._process.stderr.read()}")
            self.lines.append(line)
            count -= line.startswith(starts)
            if count == 0:
                return line

    def kill(self):
        self._process.kill()
        self._process.wait()

    def interrupt(self):
        """Ctrl-C; the seconds until the process is gone, and how it left."""
        begun = time.monotonic()
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(timeout=_LINE_SECONDS)
        return time.monotonic() - begun, code

    def end(self):
        """Waits for its end; all it said, and what it wrote to stderr."""
        while (line := self._unread.get(timeout=_LINE_SECONDS)) is not None:
            self.lines.append(line)
        errors = self._process.stderr.read()
        self._process.wait(timeout=_LINE_SECONDS)
        return self.lines, errors

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.kill()
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.stderr.close()
