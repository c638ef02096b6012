"""A server that a test starts, kills and starts again. It never outlives the test run."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

_POLL_SECONDS = 0.05


def free_ports(count):
    """Ports nobody listens on; all are taken at once, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class ServerProcess:
    """One process with a log; `kill` is SIGKILL, `start` may follow."""

    def __init__(self, name, command, log, env=None):
        self._name = name
        self._command = command
        self._log = Path(log)
        self._env = {**os.environ, **(env or {})}
        self._process = None

    def start(self):
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env,
            )  # fmt: skip

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number):
        self._process.send_signal(number)

    def wait_until(self, ready, what, seconds=90):
        """Waits until `ready()`; a server that died or does not get there fails the test with its log."""
        deadline = time.monotonic() + seconds
        while not ready():
            code = self._process.poll()
            if code is not None:
                raise AssertionError(f"{self._name} left with {code} before {what}:\n{self.log_end()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{self._name}: {what}: not within {seconds} s:\n{self.log_end()}")
            time.sleep(_POLL_SECONDS)

    def log_end(self):
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-40:])


def answer(url):
    """The body that a URL answers with, also with a refusal; None when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.read().decode("utf-8", "replace")
    except OSError:
        return None
