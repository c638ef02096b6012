"""Document 004's transfer_state, over two directories.

As written it loses data: `clear` empties a partition after its transfer, and the next transfer overwrites what was stored with what
came since. Here nothing is lost, a partition that did not change costs 0 bytes, and the interval between two transfers follows
from how much changed: T = D / F.
"""

from __future__ import annotations

import tempfile

from headrace.state_transfer import (
    StatePartition,
    make_partitions,
    partition_logic,
    partition_of,
    restore_state,
    transfer_state,
)

PARTITIONS = 8


class Seconds:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def run(storage: list[str]) -> list[tuple[str, float, list[int], int]]:
    """Four rounds of changes; of each its name, the interval, the partitions sent, and the bytes."""
    clock = Seconds()
    state = make_partitions(PARTITIONS, clock=clock)
    rounds = []

    def transfer(name: str) -> None:
        clock.now += 60
        report = transfer_state(state, storage, bytes_per_second=1000, maximum=30)
        rounds.append((name, report.interval, report.transferred, report.sizes.file_bytes))

    for number in range(1000):
        partition_logic(number, f"first {number}", state)
    transfer("1000 keys added")
    transfer("nothing changed")
    partition_logic(7, "second", state)
    transfer("one key changed")
    for number in range(0, 1000, 10):
        partition_logic(number, f"third {number}", state)
    transfer("100 keys changed")
    return rounds


def restored(storage: list[str]) -> dict[int, StatePartition]:
    """What a process finds that starts with the same storage."""
    state = make_partitions(PARTITIONS)
    restore_state(state, storage)
    return state


def main() -> None:
    """Prints the rounds and what is restored."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        for name, interval, transferred, size in run([first, f"file://{second}"]):
            print(f"{name}: interval {interval:.2f} s, partitions {transferred}, {size} bytes")
        state = restored([first, f"file://{second}"])
        of_seven = state[partition_of(7, PARTITIONS)]
        print(f"restored {sum(map(len, state.values()))} keys; key 7 is {of_seven.get(7)!r}")


if __name__ == "__main__":
    main()
