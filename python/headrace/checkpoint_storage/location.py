"""URIs of checkpoint directories and files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")


class Location(NamedTuple):
    """A parsed URI.

    Attributes:
        scheme: In lower case; `file` for a plain path.
        authority: Host and port, bucket or container, without user and password.
        path: Without the slash in front and at the end; absolute for `file`.
        user_info: User and password as they stood in the URI, or "".
        query: What stood behind a question mark, or "".
    """

    scheme: str
    authority: str
    path: str
    user_info: str = ""
    query: str = ""

    @property
    def uri(self) -> str:
        """The URI for messages: without credentials."""
        if self.scheme == "file":
            return self.path
        return f"{self.scheme}://{self.authority}" + (f"/{self.path}" if self.path else "")

    @property
    def full_uri(self) -> str:
        """The URI with everything that stood in it: for the client library alone."""
        if self.scheme == "file":
            return self.path
        user = f"{self.user_info}@" if self.user_info else ""
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{user}{self.authority}/{self.path}{query}"

    @property
    def secrets(self) -> list[str]:
        """What of it must not be shown."""
        password = self.user_info.partition(":")[2]
        return [self.user_info, password, self.query, *(value for _, value in parse_qsl(self.query))]

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


def parse_location(uri: str | Path | Location) -> Location:
    """Takes a URI or a local path apart.

    Raises:
        ValueError: no bucket, host or container in a URI that needs one.
    """
    if isinstance(uri, Location):
        return uri
    text = str(uri)
    match = _SCHEME.match(text)
    if match is None:
        return Location("file", "", str(Path(text).absolute()))
    scheme = match[1].lower()
    if scheme == "file":
        return Location("file", "", str(Path(text[len("file://") :]).absolute()))
    parts = urlsplit(text)
    user, _, host = parts.netloc.rpartition("@")
    path = unquote(parts.path).strip("/")
    # For Azure the part before the @ is the container, no user.
    if scheme in ("abfs", "abfss", "wasb", "wasbs"):
        user, host = "", parts.netloc
    if not host and scheme in ("s3", "s3a", "s3n", "gs", "gcs", "az", "azure", "abfs", "abfss", "hdfs"):
        raise ValueError(f"{scheme}:///{path}: names no {'host' if scheme == 'hdfs' else 'bucket'}")
    return Location(scheme, host, path, user, parts.query)
