"""URIs of checkpoint directories and files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")


class Location(NamedTuple):
    """A parsed URI.

    Attributes:
        scheme: In lower case; `file` for a plain path.
        authority: Host and port, bucket or container, without user and password.
        path: Without the slash in front and at the end; absolute for `file`.
        credentials: User and password or a query, as they stood in the URI; "" when there were none.
    """

    scheme: str
    authority: str
    path: str
    credentials: str = ""

    @property
    def uri(self) -> str:
        """The URI for messages: without credentials."""
        if self.scheme == "file":
            return self.path
        return f"{self.scheme}://{self.authority}" + (f"/{self.path}" if self.path else "")

    def join(self, name: str) -> Location:
        """A name below it."""
        return self._replace(path=f"{self.path}/{name}" if self.path else name)

    def split(self) -> tuple[Location, str]:
        """The directory it stands in, and its name there."""
        directory, _, name = self.path.rpartition("/")
        return self._replace(path=directory), name


def is_remote(path: str) -> bool:
    """True for a URI that is not a local file's."""
    match = _SCHEME.match(path)
    return match is not None and match[1].lower() != "file"


def parse_location(uri: str | Path) -> Location:
    """Takes a URI or a local path apart.

    Raises:
        ValueError: no bucket, host or container in a URI that needs one.
    """
    text = str(uri)
    match = _SCHEME.match(text)
    if match is None:
        return Location("file", "", str(Path(text).absolute()))
    scheme = match[1].lower()
    if scheme == "file":
        return Location("file", "", str(Path(text[len("file://") :]).absolute()))
    parts = urlsplit(text)
    user, at, host = parts.netloc.rpartition("@")
    path = unquote(parts.path).strip("/")
    # For Azure the part before the @ is the container, no user.
    if scheme in ("abfs", "abfss", "wasb", "wasbs"):
        user, at, host = "", "", parts.netloc
    if not host and scheme in ("s3", "s3a", "s3n", "gs", "gcs", "az", "azure", "abfs", "abfss", "hdfs"):
        raise ValueError(f"{scheme}:///{path}: names no {'host' if scheme == 'hdfs' else 'bucket'}")
    return Location(scheme, host, path, f"{user}{at}{parts.query}")
