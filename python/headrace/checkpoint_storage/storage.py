"""What a store must be able to do to keep checkpoints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from headrace import _core
from headrace.checkpoint_storage.location import Location
from headrace.common.sensitive_keys import Secrets

ABANDONED_S = 3600.0  # no upload of a small piece takes that long


class Storage(ABC):
    """A directory in some store.

    Calls block, may come from any thread and raise whatever the client library raises; `failure` says what that means.
    A name appears with its whole content or not at all, also when the process dies in the middle.

    Attributes:
        location: Where it is.
        secrets: What must not stand in a message.
        lists_at_once: Whether `sizes` shows at once what other calls did, also those of other processes.
    """

    lists_at_once = False

    def __init__(self, location: Location, secrets: Secrets) -> None:
        self.location = location
        self.secrets = secrets

    @property
    def uri(self) -> str:
        """The directory as messages name it."""
        return self.location.uri

    @abstractmethod
    def put_file(self, local: Path, name: str, digest: bytes) -> None:
        """Copies a local file here under a new name, through a bounded buffer; see `checked_pieces`."""

    @abstractmethod
    def create(self, name: str, content: bytes) -> None:
        """Creates a small file; fails, changing nothing, when the name is taken."""

    @abstractmethod
    def replace(self, name: str, content: bytes) -> None:
        """Writes a small file anew; readers see its former content or this, also when the process dies in the middle."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Content of a small file."""

    @abstractmethod
    def get_file(self, name: str, local: Path) -> None:
        """Copies a file to a local path, through a bounded buffer."""

    @abstractmethod
    def sizes(self) -> list[tuple[str, int]]:
        """Names and lengths of the files in the directory; none when there is no such directory."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Length of a file, None when there is none; never from a cache."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Removes a file."""

    @abstractmethod
    def read_range(self, name: str, start: int, end: int) -> bytes:
        """Bytes of a file from `start` up to `end`, which is not behind its end."""

    def remove_abandoned(self, older_than_s: float = ABANDONED_S) -> None:  # noqa: B027 - rightly empty
        """Deletes what a writer left under temporary names that was killed that long ago (0: all); most leave none."""

    @abstractmethod
    def directory(self, name: str) -> Storage:
        """A directory below this one; nothing is created."""

    @abstractmethod
    def failure(self, error: Exception, what: str) -> Exception:
        """What an exception of the client library means; `what` says what was tried.

        Returns:
            FileExistsError, FileNotFoundError, InvalidArgumentError (trying again cannot help) or StorageError.
        """

    def refused(self, what: str, why: str) -> Exception:
        """An error that trying again cannot help."""
        return _core.InvalidArgumentError(f"{what} {self.uri}: {self.secrets.clean(why)}")

    def unanswered(self, what: str, error: Exception) -> Exception:
        """An error of the network or the server."""
        text = self.secrets.clean(_first_lines(str(error))) or type(error).__name__
        return _core.StorageError(f"{what} {self.uri}: {text}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"


def checked_pieces(local: Path, digest: bytes, piece_bytes: int) -> Iterator[bytes]:
    """Pieces of a local file. The last is held back until the digest of all is right.

    Raises:
        StorageError: the file is not what was written; nothing of it may appear.
    """
    found = _core.FileDigest()
    held: bytes | None = None
    with local.open("rb") as file:
        while piece := file.read(piece_bytes):
            found.update(piece)
            if held is not None:
                yield held
            held = piece
    if found.digest() != digest:
        raise _core.StorageError(f"file {local} is not read back as it was written")
    if held is not None:
        yield held


_LINES = 3
_CHARACTERS = 400


def _first_lines(text: str) -> str:
    short = " ".join(line.strip() for line in text.strip().splitlines()[:_LINES])
    return short if len(short) <= _CHARACTERS else short[:_CHARACTERS] + "…"
