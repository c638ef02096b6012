"""Document 004's partition_logic: which partition a key belongs to, and P = S / Z.

The document's `hash(key) % num_partitions` differs from process to process, since Python salts the hash of strings: restored state
would be looked for in the wrong partition. headrace hashes the key's encoded bytes, which every process does alike.
"""

from __future__ import annotations

from headrace.state_transfer import make_partitions, partition_count, partition_logic

KEYS = [f"user-{number}" for number in range(1000)]
PARTITION_SIZE = 4096


def placed() -> dict[str, int]:
    """Partition of each key, in a state whose P follows from S and Z."""
    state_bytes = sum(len(key) + 12 for key in KEYS)
    state = make_partitions(partition_count(state_bytes, PARTITION_SIZE), PARTITION_SIZE)
    return {key: partition_logic(key, number, state) for number, key in enumerate(KEYS)}


def main() -> None:
    """Prints P = S / Z and how the keys spread."""
    partitions = placed()
    state_bytes = sum(len(key) + 12 for key in KEYS)
    used = max(partitions.values()) + 1
    print(f"P = S / Z = {state_bytes} / {PARTITION_SIZE} -> {partition_count(state_bytes, PARTITION_SIZE)}")
    for partition_id in range(used):
        print(f"partition {partition_id}: {sum(p == partition_id for p in partitions.values())} keys")
    print(f"user-7 is in partition {partitions['user-7']} in every process; hash('user-7') % {used} is not")


if __name__ == "__main__":
    main()
