"""Which process wrote a marker, and whether it is gone."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

_NAME = re.compile(r"process (?P<pid>\d+) on (?P<place>.+) since (?P<since>\d+)")


def process_identity() -> str:
    """One line that names this process among all processes of all machines."""
    return f"process {os.getpid()} on {_place()} since {_started(os.getpid())}"


def is_gone(identity: str) -> bool:
    """True when it is certain that the process with that identity has ended: it ran where its number can be looked up."""
    match = _NAME.fullmatch(identity)
    return match is not None and match["place"] == _place() and _started(int(match["pid"])) != int(match["since"])


def _place() -> str:
    """The host, this start of its system and the name space of process numbers; without the latter just the host."""
    host = socket.gethostname()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return f"{host}, process {os.getpid()} alone"  # nobody else can say
    return f"{host} ({boot} {space})"


def _started(pid: int) -> int:
    """When it started, in clock ticks since the system did; 0 when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    state, *fields = stat.rpartition(")")[2].split()  # the name before may hold anything
    return 0 if state in "XZ" else int(fields[18])
