"""Checkpoints in an object store: S3, Google Cloud Storage, Azure Blob Storage, through obstore."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from headrace import _core
from headrace.checkpoint_storage.location import Location
from headrace.checkpoint_storage.optional_package import require
from headrace.checkpoint_storage.storage import Storage, checked_pieces
from headrace.common.configuration import Configuration
from headrace.common.sensitive_keys import Secrets, is_sensitive

# A file up to this size is one request; a larger one goes in parts of this size, two at a time.
_PART_BYTES = 8 << 20
_PARTS_AT_ONCE = 2
_READ_BYTES = 1 << 20
_REFUSED = ("403 Forbidden", "401 Unauthorized", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied")
_NO_BUCKET = ("NoSuchBucket", "The specified bucket does not exist", "ContainerNotFound")


class ObjectStoreStorage(Storage):
    """A prefix in a bucket. Objects appear when they are whole, and a conditional put creates.

    Args:
        location: Scheme, bucket and prefix.
        secrets: What must not stand in a message.
        make_store: Makes the obstore store of a prefix.
        keys: Names of the options that hold the credentials, for messages.
    """

    def __init__(self, location: Location, secrets: Secrets, make_store: Callable[[str], Any], keys: str) -> None:
        super().__init__(location, secrets)
        self._obstore = require("obstore", location.scheme)
        self._make_store = make_store
        self._store = make_store(location.path)
        self._keys = keys

    def put_file(self, local: Path, name: str, digest: bytes) -> None:
        """See Storage."""
        pieces = checked_pieces(local, digest, _PART_BYTES)
        if local.stat().st_size <= _PART_BYTES:
            self._obstore.put(self._store, name, next(pieces, b""), use_multipart=False)
            return
        self._obstore.put(
            self._store, name, pieces, use_multipart=True, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE
        )

    def create(self, name: str, content: bytes) -> None:
        """See Storage."""
        self._obstore.put(self._store, name, content, mode="create")

    def replace(self, name: str, content: bytes) -> None:
        """See Storage."""
        self._obstore.put(self._store, name, content, mode="overwrite")

    def read(self, name: str) -> bytes:
        """See Storage."""
        return bytes(self._obstore.get(self._store, name).bytes())

    def get_file(self, name: str, local: Path) -> None:
        """See Storage."""
        chunks = self._obstore.get(self._store, name).stream(min_chunk_size=_READ_BYTES)
        with local.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)

    def sizes(self) -> list[tuple[str, int]]:
        """See Storage."""
        return [(item["path"], item["size"]) for item in self._obstore.list_with_delimiter(self._store)["objects"]]

    def size(self, name: str) -> int | None:
        """See Storage."""
        try:
            return int(self._obstore.head(self._store, name)["size"])
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """See Storage."""
        self._obstore.delete(self._store, name)

    def read_range(self, name: str, start: int, end: int) -> bytes:
        """See Storage."""
        return bytes(self._obstore.get_range(self._store, name, start=start, end=end))

    def directory(self, name: str) -> ObjectStoreStorage:
        """See Storage."""
        return ObjectStoreStorage(self.location.join(name), self.secrets, self._make_store, self._keys)

    def failure(self, error: Exception, what: str) -> Exception:
        """See Storage."""
        if isinstance(error, _core.StorageError):
            return error
        if isinstance(error, OSError) and error.errno is not None:
            return _core.StorageError(f"{what} {self.uri}: {error}")  # of a local file
        exceptions = self._obstore.exceptions
        text = str(error).split("\n\nDebug source")[0]
        if any(part in text for part in _NO_BUCKET):
            return self.refused(what, f"there is no bucket {self.location.authority!r}")
        if isinstance(error, (exceptions.AlreadyExistsError, exceptions.PreconditionError)):
            return FileExistsError(f"{what} {self.uri}: exists")
        if isinstance(error, FileNotFoundError):
            return FileNotFoundError(f"{what} {self.uri}: there is no such file")
        denied = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
        if isinstance(error, denied) or any(part in text for part in _REFUSED):
            return self.refused(what, f"access was denied; check {self._keys}")
        if isinstance(error, (exceptions.InvalidPathError, exceptions.NotSupportedError)):
            return self.refused(what, text)
        return self.unanswered(what, _Shortened(text))


class _Shortened(Exception):
    """A message without the client's debug output."""


def _client_options(endpoint: str | None) -> dict[str, Any]:
    return {
        "allow_http": endpoint is not None and endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=5),
        "read_timeout": timedelta(seconds=30),
        "timeout": timedelta(minutes=10),
    }


# Failed calls are tried again by CheckpointTransport, which also knows when nobody waits any more.
_NO_RETRIES = {"max_retries": 0, "retry_timeout": timedelta(seconds=30)}


def _without_nones(options: dict[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in options.items() if value is not None}


def _first(configuration: Configuration, *keys: str) -> str | None:
    for key in keys:
        value = configuration.get_string(key)
        if value is not None:
            return value
    return None


def secrets_of(configuration: Configuration, location: Location) -> Secrets:
    """Every credential that the options, the environment and the URI hold."""
    options = configuration.to_dict()
    values = [value for key, value in options.items() if is_sensitive(key)]
    prefixes = ("AWS_", "AZURE_", "GOOGLE_", "HADOOP_")
    values += [
        value
        for key, value in os.environ.items()
        if key.startswith(prefixes) and is_sensitive(key.lower().replace("_", "-"))
    ]
    return Secrets([*values, *location.secrets])


def open_s3(location: Location, configuration: Configuration) -> ObjectStoreStorage:
    """S3 and what speaks its protocol.

    Options, as Flink calls them: `s3.access-key`, `s3.secret-key`, `s3.session-token`, `s3.endpoint`,
    `s3.endpoint.region`, `s3.path.style.access` (true unless set). Without keys those of the environment
    (`AWS_ACCESS_KEY_ID`, ...) are used.

    A process that is killed while it uploads a file of more than 8 MiB leaves parts that nobody sees but the bill: a
    lifecycle rule of the bucket (AbortIncompleteMultipartUpload) removes them.
    """
    store = require("obstore.store", location.scheme)
    endpoint = _first(configuration, "s3.endpoint")
    region = _first(configuration, "s3.endpoint.region", "s3.region") or (
        os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    )
    path_style = configuration.get_boolean("s3.path.style.access", configuration.get_boolean("s3.path-style-access"))
    virtual_hosted = path_style is False
    if endpoint is not None and virtual_hosted:
        parts = urlsplit(endpoint)
        endpoint = f"{parts.scheme}://{location.authority}.{parts.netloc}"
    config = _without_nones({
        "aws_access_key_id": _first(configuration, "s3.access-key", "s3.access.key"),
        "aws_secret_access_key": _first(configuration, "s3.secret-key", "s3.secret.key"),
        "aws_session_token": _first(configuration, "s3.session-token"),
        "aws_endpoint": endpoint,
        "aws_region": region,
        "aws_virtual_hosted_style_request": "true" if virtual_hosted else "false",
    })  # fmt: skip

    def make(prefix: str) -> Any:
        return store.S3Store(
            location.authority, prefix=prefix or None, config=config, retry_config=_NO_RETRIES,
            client_options=_client_options(endpoint or os.environ.get("AWS_ENDPOINT_URL")),
        )  # fmt: skip

    return ObjectStoreStorage(location, secrets_of(configuration, location), make, "s3.access-key and s3.secret-key")


def open_gcs(location: Location, configuration: Configuration) -> ObjectStoreStorage:
    """Google Cloud Storage.

    Options: `gs.auth.service-account.json.keyfile` (a path), `gs.endpoint`. Without a key file the environment's
    (`GOOGLE_APPLICATION_CREDENTIALS`, ...) is used. With `gs.auth.type: none` requests are not signed.
    """
    store = require("obstore.store", location.scheme)
    endpoint = _first(configuration, "gs.endpoint")
    config = _without_nones({
        "google_service_account": _first(
            configuration, "gs.auth.service-account.json.keyfile", "fs.gs.auth.service.account.json.keyfile"
        ),
        "google_base_url": endpoint,
        "google_skip_signature": "true" if _first(configuration, "gs.auth.type") == "none" else None,
    })  # fmt: skip

    def make(prefix: str) -> Any:
        return store.GCSStore(
            location.authority, prefix=prefix or None, config=config, retry_config=_NO_RETRIES,
            client_options=_client_options(endpoint),
        )  # fmt: skip

    keys = "gs.auth.service-account.json.keyfile"
    return ObjectStoreStorage(location, secrets_of(configuration, location), make, keys)


def open_azure(location: Location, configuration: Configuration) -> ObjectStoreStorage:
    """Azure Blob Storage: `az://container/…` or `abfss://container@account.dfs.core.windows.net/…`.

    Options: `azure.account-name`, `azure.account-key` or `fs.azure.account.key.<account>.…`, `azure.sas-token`,
    `azure.endpoint`. Without them those of the environment (`AZURE_STORAGE_ACCOUNT_NAME`, ...) are used.
    """
    store = require("obstore.store", location.scheme)
    container, _, host = location.authority.partition("@")
    account = _first(configuration, "azure.account-name") or host.split(".")[0] or None
    flinks = [f"fs.azure.account.key.{host}"] if host else []
    if account is not None:
        flinks += [f"fs.azure.account.key.{account}.{kind}.core.windows.net" for kind in ("blob", "dfs")]
    endpoint = _first(configuration, "azure.endpoint")
    config = _without_nones({
        "azure_storage_account_name": account,
        "azure_storage_account_key": _first(configuration, "azure.account-key", *flinks),
        "azure_storage_sas_key": _first(configuration, "azure.sas-token"),
        "azure_storage_endpoint": endpoint,
    })  # fmt: skip

    def make(prefix: str) -> Any:
        return store.AzureStore(
            container, prefix=prefix or None, config=config, retry_config=_NO_RETRIES,
            client_options=_client_options(endpoint),
        )  # fmt: skip

    keys = "azure.account-name and azure.account-key"
    return ObjectStoreStorage(location, secrets_of(configuration, location), make, keys)
