"""Document 004's StatePartition: add, save, clear, restore.

As written, `clear` throws the data away and `restore` replaces it. Here `clear` drops the mark "changed" and `restore` merges what
is stored into what is there. Values are stored in headrace's typed encoding instead of by an unnamed `serialize`: no pickle.
"""

from __future__ import annotations

import tempfile

from headrace.state_transfer import StatePartition

ENTRIES = [("a", 1), ("b", [2, "two"]), (("compound", 3), {"three": 3.0})]


def fill(partition: StatePartition) -> StatePartition:
    """Adds the entries."""
    for key, value in ENTRIES:
        partition.add(key, value)
    return partition


def main() -> None:
    """Saves a partition and restores it into another one."""
    with tempfile.TemporaryDirectory() as checkpoint_storage:
        partition = fill(StatePartition(partition_id=0, partition_size=1024))
        report = partition.save(checkpoint_storage)
        print(
            f"saved {len(partition)} keys: S = {report.raw_bytes}, C = {report.stored_bytes}, on disk {report.file_bytes} bytes"
        )
        partition.clear()
        print(f"after clear: dirty = {partition.dirty}, keys = {len(partition)}")

        restored = StatePartition(partition_id=0, partition_size=1024)
        restored.add("b", "newer")
        restored.restore(checkpoint_storage)
        for key, value in sorted(restored.data, key=repr):
            print(f"{key!r}: {value!r}")


if __name__ == "__main__":
    main()
