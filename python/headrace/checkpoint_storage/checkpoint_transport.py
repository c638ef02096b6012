"""What the engine calls to keep a job's checkpoints in a remote directory."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from headrace import _core
from headrace.checkpoint_storage.parallel_calls import ParallelCalls
from headrace.checkpoint_storage.process_identity import is_gone, process_identity
from headrace.checkpoint_storage.storage import ABANDONED_S, Storage

T = TypeVar("T")
_DELAYS_S = (0.1, 0.4, 1.2)
_THREADS = 8
_SOON_S = 120.0  # for a call that moves little, unless a checkpoint has less time than that
_TRY_S = 2.0  # for what is missed little


class CheckpointTransport:
    """Storage calls in parallel, tried again with backoff, with errors that name the file and hold no credentials.

    The methods are those of `checkpoint/checkpoint_transport.h`. Threading: thread-safe.

    Args:
        storage: The job's directory.
        timeout_s: Longest time for all files of one checkpoint, and for each small call; None = no limit, two minutes.
        keep: Something that must live as long as the transport is used: the staging directory.
    """

    def __init__(self, storage: Storage, timeout_s: float | None = None, keep: Any = None) -> None:
        self._storage = storage
        self._timeout_s = timeout_s
        self._soon_s = _SOON_S if timeout_s is None else min(timeout_s, _SOON_S)
        self._keep = keep
        self._calls = ParallelCalls(_THREADS)

    @property
    def uri(self) -> str:
        """The directory as messages name it."""
        return self._storage.uri

    @property
    def lists_at_once(self) -> bool:
        """See Storage."""
        return self._storage.lists_at_once

    def upload(self, directory: str, files: list[tuple[str, bytes]], wanted: Callable[[], bool]) -> None:
        """Copies files of a local directory, each a name and the digest of its content, side by side."""
        given_up = threading.Event()

        def put(name: str, digest: bytes) -> None:
            local = Path(directory, name)
            self._attempt(f"upload {name} to", lambda: self._storage.put_file(local, name, digest), given_up)

        try:
            self._calls.run(
                [partial(put, name, digest) for name, digest in files],
                wanted,
                self._timeout_s,
                f"the upload to {self.uri}",
            )
        finally:
            given_up.set()

    def create(self, name: str, content: bytes) -> None:
        """Creates a small file; FileExistsError when the name is taken."""
        self._soon(f"create {name} in", lambda: self._storage.create(name, content))

    def replace(self, name: str, content: bytes) -> None:
        """Writes a small file anew."""
        self._soon(f"write {name} in", lambda: self._storage.replace(name, content))

    def try_replace(self, name: str, content: bytes) -> None:
        """Writes a small file anew, in one attempt of a few seconds."""
        self._soon(f"write {name} in", lambda: self._storage.replace(name, content), timeout_s=_TRY_S, delays_s=())

    def read(self, name: str) -> bytes:
        """Content of a small file; FileNotFoundError when there is none."""
        return self._soon(f"read {name} of", lambda: self._storage.read(name))

    def names(self) -> list[tuple[str, int]]:
        """Names and lengths."""
        return self._soon("list", self._storage.sizes)

    def find(self, names: list[str]) -> list[tuple[str, int]]:
        """Those of the names that exist, with their lengths."""

        def size(name: str) -> int | None:
            return self._attempt(f"look for {name} in", lambda: self._storage.size(name))

        sizes = self._calls.run(
            [partial(size, name) for name in names], timeout_s=self._soon_s, what=f"look into {self.uri}"
        )
        return [(name, size) for name, size in zip(names, sizes, strict=True) if size is not None]

    def download(self, names: list[str], directory: str) -> None:
        """Copies files into a local directory; those that do not exist are left out."""

        def get(name: str) -> None:
            local = Path(directory, name)
            partial = local.with_name(f".{name}.partial")
            try:
                self._attempt(f"download {name} from", lambda: self._storage.get_file(name, partial))
            except FileNotFoundError:
                partial.unlink(missing_ok=True)
                return
            partial.replace(local)

        self._calls.run([partial(get, name) for name in names])

    def delete(self, names: list[str]) -> None:
        """Removes files; one that is gone already is fine."""

        def remove(name: str) -> None:
            try:
                self._attempt(f"delete {name} from", lambda: self._storage.delete(name))
            except FileNotFoundError:
                return

        self._calls.run(
            [partial(remove, name) for name in names], timeout_s=self._soon_s, what=f"delete from {self.uri}"
        )

    def remove_abandoned(self, older_than_s: float = ABANDONED_S) -> None:
        """Deletes what killed writers left under temporary names, if it was written that long ago."""
        self._soon("clean up", lambda: self._storage.remove_abandoned(older_than_s))

    @property
    def owner(self) -> str:
        """Names this process to others."""
        return process_identity()

    def is_gone(self, owner: str) -> bool:
        """True when it is certain that the process which was named so has ended."""
        return is_gone(owner)

    def read_range(self, name: str, start: int, end: int) -> bytes:
        """Bytes of a file from `start` up to `end`."""
        return self._attempt(f"read {name} of", lambda: self._storage.read_range(name, start, end))

    def _soon(
        self, what: str, call: Callable[[], T], timeout_s: float = _SOON_S, delays_s: tuple[float, ...] = _DELAYS_S
    ) -> T:
        """A call that moves little: one that hangs is given up, whatever the client library thinks."""
        (result,) = self._calls.run(
            [partial(self._attempt, what, call, delays_s=delays_s)],
            timeout_s=min(self._soon_s, timeout_s),
            what=f"{what} {self.uri}",
        )
        return result

    def _attempt(
        self,
        what: str,
        call: Callable[[], T],
        given_up: threading.Event | None = None,
        delays_s: tuple[float, ...] = _DELAYS_S,
    ) -> T:
        pause = given_up or threading.Event()
        failure: Exception
        for delay_s in (*delays_s, None):
            try:
                return call()
            except Exception as error:
                failure = self._storage.failure(error, what)
            if delay_s is None or not isinstance(failure, _core.StorageError):
                break
            # Jitter: the files of a checkpoint fail together and should not come back together.
            if pause.wait(delay_s * random.uniform(0.5, 1.5)):
                break
        raise failure from None

    def __repr__(self) -> str:
        return f"CheckpointTransport({self.uri!r})"
