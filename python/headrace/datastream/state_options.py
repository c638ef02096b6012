"""Options of how keyed state is cut into partitions and stored in checkpoints (document 004)."""

from __future__ import annotations

from typing import Any

from headrace.common.configuration import Configuration
from headrace.common.memory_size import to_bytes

PARTITION_SIZE = "state.partition-size"
"""Z: about what a partition of keyed state takes before compression. P = S / Z. Default 64 kb."""
CODEC = "state.compression.codec"
"""none, lz4, snappy or zstd, and maybe a level: "zstd:3". Default zstd, level 1."""

INCREMENTAL = "execution.checkpointing.incremental"
"""False: every checkpoint writes all of the state. Default true, unlike Flink's, for it costs nothing here."""

_STATE_PREFIX = CODEC + "."
_SIZE_MIN, _SIZE_MAX = 1 << 10, 16 << 20


def storage_options(configuration: Configuration) -> dict[str, Any]:
    """What the engine is told of partitions and compression.

    The codec of a state is that of `state.compression.codec.<uid>.<state>`, else what its descriptor asks for
    (`StateDescriptor.set_compression`), else that of `state.compression.codec`.

    Raises:
        ValueError: a size out of 1 kb to 16 mb.
    """
    size = to_bytes(configuration.get_string(PARTITION_SIZE) or "64 kb", PARTITION_SIZE)
    if not _SIZE_MIN <= size <= _SIZE_MAX:
        raise ValueError(f"{PARTITION_SIZE}: must be from 1 kb to 16 mb, got {size} bytes")
    of_states = {
        key[len(_STATE_PREFIX) :]: configuration.get_string(key)
        for key in configuration.key_set()
        if key.startswith(_STATE_PREFIX)
    }
    return {
        "partition_bytes": size,
        "incremental_checkpoints": configuration.get_boolean(INCREMENTAL, True),
        "compression": configuration.get_string(CODEC) or "zstd",
        "state_compression": of_states,
    }
