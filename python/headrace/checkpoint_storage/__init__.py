"""Checkpoints in HDFS, S3, Google Cloud Storage, Azure Blob Storage and what fsspec reaches.

`execution.checkpointing.dir` and `execution.state-recovery.path` take URIs. The engine writes into a local staging
directory (`execution.checkpointing.staging-dir`), which is uploaded before a checkpoint is decided; the decision is the
creation of its manifest in the remote directory. A second process that starts the same job there takes over.

The client libraries are extras: `headrace[s3]`, `headrace[gcs]`, `headrace[azure]`, `headrace[hdfs]`,
`headrace[fsspec]`.
"""

from headrace.checkpoint_storage.copying import CopiedCheckpoint, copy
from headrace.checkpoint_storage.opening import open_storage
from headrace.checkpoint_storage.storage import Storage

__all__ = ["CopiedCheckpoint", "Storage", "copy", "open_storage"]
