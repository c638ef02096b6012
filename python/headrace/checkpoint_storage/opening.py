"""From a URI to the storage behind it."""

from __future__ import annotations

from pathlib import Path

from headrace.checkpoint_storage.fsspec_directory import open_fsspec
from headrace.checkpoint_storage.hdfs import open_hdfs
from headrace.checkpoint_storage.local_directory import LocalDirectory
from headrace.checkpoint_storage.location import Location, parse_location
from headrace.checkpoint_storage.object_store import open_azure, open_gcs, open_s3
from headrace.checkpoint_storage.storage import Storage
from headrace.common.configuration import Configuration

_OPENERS = {
    "s3": open_s3, "s3a": open_s3, "s3n": open_s3,
    "gs": open_gcs, "gcs": open_gcs,
    "az": open_azure, "azure": open_azure, "abfs": open_azure, "abfss": open_azure, "wasb": open_azure,
    "wasbs": open_azure,
    "hdfs": open_hdfs, "viewfs": open_hdfs,
}  # fmt: skip


def open_storage(uri: str | Path | Location, configuration: Configuration | None = None) -> Storage:
    """The directory at a URI or local path; whether it can be reached shows at the first call.

    Args:
        uri: `s3://bucket/prefix`, `gs://…`, `az://…`, `abfss://…`, `hdfs://host:port/path`, a local path, `file://…`, or
            any scheme that fsspec has a file system for.
        configuration: Where options are looked up; those of the environment count too.

    Raises:
        ValueError: the URI names no bucket or host, or nobody knows its scheme.
        ImportError: the client library is not installed; says how to install it.
    """
    location = parse_location(uri)
    options = configuration or Configuration()
    if location.scheme == "file":
        return LocalDirectory(location)
    opener = _OPENERS.get(location.scheme)
    if opener is not None:
        return opener(location, options)
    return open_fsspec(location, options)
