"""Rows of a running job on their way to the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from headrace import _core

if TYPE_CHECKING:
    from headrace.datastream.data_stream import DataStream

T = TypeVar("T")
_POLL_MS = 50  # so that the main thread sees signals: Ctrl-C must stop a job within a second


class CollectedRows:
    """Starts the program that ends in `stream` and takes its rows."""

    def __init__(self, stream: DataStream, job_name: str | None) -> None:
        env = stream.get_execution_environment()
        checkpointed = env.get_checkpoint_config().is_checkpointing_enabled()
        self._buffer = _core.CollectBuffer(stream._step.schema, checkpointed)
        stream._native("collect", "Collect", {"buffer": self._buffer}, keeps_parallelism=True)
        self._job = env._start_job(job_name, self._buffer)

    def records(self, limit: int) -> list[Any] | None:
        """The next Python records, at most `limit` (0 = any number), maybe none yet; None at the end of the job."""
        return self._next(lambda: self._buffer.take(_POLL_MS, limit))

    def arrow_batches(self) -> Iterator[Any]:
        """All batches as objects with `__arrow_c_array__`."""
        while (batch := self._next(lambda: self._buffer.take_arrow(_POLL_MS))) is not None:
            if batch is not _core.NOTHING_YET:
                yield batch

    def stop(self) -> None:
        """Cancels the job if it still runs."""
        self._job.stop()

    def _next(self, take: Callable[[], T | None]) -> T | None:
        try:
            got = take()
        except KeyboardInterrupt as interrupt:
            self._job.client._stop_at(interrupt)
            raise
        if got is None:
            self._job.finish()
        return got


class CloseableIterator:
    """Records of a running job. Close it (or leave its `with` block) to cancel what still runs."""

    def __init__(self, rows: CollectedRows, limit: int = -1) -> None:
        self._rows = rows
        self._left = limit
        self._pending: list[Any] = []
        self._next = 0
        self._ended = limit == 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while self._next == len(self._pending):
            if self._ended:
                raise StopIteration
            self._fetch()
        record = self._pending[self._next]
        self._next += 1
        return record

    def _fetch(self) -> None:
        records = self._rows.records(max(self._left, 0))
        if records is None:
            self._ended = True
            return
        self._pending, self._next = records, 0
        if self._left > 0:
            self._left -= len(records)
            if self._left == 0:
                self._ended = True
                self._rows.stop()

    def next(self) -> Any:
        """The next record (PyFlink's form)."""
        return self.__next__()

    def close(self) -> None:
        """Cancels the job if it still runs."""
        self._rows.stop()

    def __enter__(self) -> CloseableIterator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
