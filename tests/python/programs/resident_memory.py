"""Memory of a program that a test starts."""

from pathlib import Path


def resident_max() -> int:
    """The most bytes that were resident. getrusage() would tell of the process that forked this one, too."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
