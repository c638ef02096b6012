"""Where a job's checkpoints go and where it resumes from, as the engine's options."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from headrace import _core
from headrace.checkpoint_storage.checkpoint_files import fetch_checkpoint, find_checkpoint
from headrace.checkpoint_storage.checkpoint_transport import CheckpointTransport
from headrace.checkpoint_storage.copying import STAGING
from headrace.checkpoint_storage.location import Location, is_remote
from headrace.checkpoint_storage.opening import open_storage
from headrace.checkpoint_storage.staging_directory import StagingDirectory
from headrace.common.configuration import Configuration


class RemoteCheckpoints(NamedTuple):
    """A job's directory in a remote storage, and the options with its address and credentials."""

    location: Location
    configuration: Configuration

    def uri(self, name: str = "") -> str:
        """Of the directory or a file there, with everything that was given: not for messages."""
        return (self.location.join(name) if name else self.location).full_uri

    def __repr__(self) -> str:
        return f"RemoteCheckpoints({self.location.uri!r})"


class JobStorage:
    """The storage of one job.

    Args:
        directory: `execution.checkpointing.dir`: "", a path or a URI.
        restore_path: `execution.state-recovery.path`: "", `latest`, a path or a URI.
        job_key: Names the job's directory below `directory`.
        timeout_ms: Longest time for the upload of one checkpoint.
        configuration: Options of the storages.

    Attributes:
        options: For `_core.Job`.
        remote: Where its checkpoints are when that is no local directory.
    """

    def __init__(
        self, directory: str, restore_path: str, job_key: str, timeout_ms: int, configuration: Configuration
    ) -> None:
        self.options: dict[str, Any] = {
            "checkpoint_directory": _local_path(directory),
            "restore_path": restore_path if restore_path == "latest" else _local_path(restore_path),
        }
        self.remote: RemoteCheckpoints | None = None
        self._staging: StagingDirectory | None = None
        if is_remote(directory):
            staging = self._stage(configuration)
            storage = open_storage(directory, configuration).directory(_core.sanitize_name(job_key))
            transport = CheckpointTransport(storage, timeout_ms / 1000, staging)
            transport.remove_abandoned()
            self.options["checkpoint_directory"] = str(staging.path / "checkpoints")
            self.options["checkpoint_transport"] = transport
            self.remote = RemoteCheckpoints(storage.location, configuration)
        if is_remote(restore_path):
            staging = self._stage(configuration)
            found = find_checkpoint(restore_path, configuration)
            copy = fetch_checkpoint(found, staging.path / "restore")
            self.options["restore_path"] = str(copy)
            self.options["restore_uri"] = found.transport.uri

    def release(self) -> None:
        """Lets go of the staging directory; called when nobody refers to the job any more."""
        self._staging = None

    def _stage(self, configuration: Configuration) -> StagingDirectory:
        if self._staging is None:
            self._staging = StagingDirectory(configuration.get_string(STAGING))
        return self._staging


def _local_path(path: str) -> str:
    if path == "" or is_remote(path):
        return ""
    return str(Path(path.removeprefix("file://")).absolute())
