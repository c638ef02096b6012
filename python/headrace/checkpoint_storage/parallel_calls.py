"""Several blocking calls side by side, on threads that nobody has to wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from headrace import _core

T = TypeVar("T")
_ASK_SECONDS = 0.1


class ParallelCalls:
    """Runs calls on up to `threads` threads that end with the last call.

    The threads are daemons: one that hangs in a request keeps neither a cancelled job nor the interpreter.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def run(
        self,
        calls: list[Callable[[], T]],
        wanted: Callable[[], bool] | None = None,
        timeout_s: float | None = None,
        what: str = "",
    ) -> list[T]:
        """Results in the order of `calls`.

        Args:
            calls: What to do; after one has failed no other is begun.
            wanted: Asked ten times a second; False gives up.
            timeout_s: Seconds after which to give up.
            what: Names the work in the error of a timeout.

        Raises:
            JobCancelledError: not wanted any more.
            StorageError: not done within `timeout_s`.
            Exception: what the first call that failed raised.
        """
        if not calls:
            return []
        if len(calls) == 1 and wanted is None and timeout_s is None:
            return [calls[0]()]
        round_ = _Round[T](calls)
        for _ in range(min(self._threads, len(calls))):
            threading.Thread(target=round_.work, name="headrace-storage", daemon=True).start()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not round_.wait(_ASK_SECONDS):
            if wanted is not None and not wanted():
                round_.stop()
                raise _core.JobCancelledError(f"{what} was given up")
            if deadline is not None and time.monotonic() > deadline:
                round_.stop()
                raise _core.StorageError(f"{what}: not done within {timeout_s:g} s")
        return round_.results()


class _Round(Generic[T]):
    """The calls of one run and how far they are. Guarded by `_changed`."""

    def __init__(self, calls: list[Callable[[], T]]) -> None:
        self._calls = calls
        self._changed = threading.Condition()
        self._next = 0
        self._done = 0
        self._results: dict[int, T] = {}
        self._failure: BaseException | None = None
        self._stopped = False

    def work(self) -> None:
        """Body of a thread."""
        while True:
            with self._changed:
                if self._stopped or self._failure is not None or self._next == len(self._calls):
                    return
                index = self._next
                self._next += 1
            try:
                result = self._calls[index]()
            except BaseException as error:  # handed to whoever waits
                with self._changed:
                    self._failure = self._failure or error
                    self._changed.notify_all()
                return
            with self._changed:
                self._results[index] = result
                self._done += 1
                self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """True when there is an outcome."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._failure is not None or self._done == len(self._calls), timeout=seconds
            )

    def stop(self) -> None:
        """Begins no further call."""
        with self._changed:
            self._stopped = True

    def results(self) -> list[T]:
        """Of a round that has an outcome."""
        if self._failure is not None:
            raise self._failure
        return [self._results[index] for index in range(len(self._calls))]
