"""Sizes in bytes as Flink writes them: "64 kb", "512 mb", "4 gb"."""

from __future__ import annotations

_UNITS = {"": 1, "b": 1, "bytes": 1}
for _power, _letter in enumerate("kmgt", 1):
    for _unit in (_letter, f"{_letter}b", f"{_letter}ib"):
        _UNITS[_unit] = 1 << (10 * _power)


def to_bytes(text: str | int, key: str) -> int:
    """Bytes of a size; units are powers of 1,024, letters of either case, none means bytes.

    Args:
        text: For example "64 kb" or "512 mb".
        key: The option it belongs to, for the message.

    Raises:
        ValueError: not a size.
    """
    stripped = str(text).strip().lower()
    digits = stripped.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = stripped[len(digits) :].strip()
    if not digits.isdigit() or unit not in _UNITS:
        raise ValueError(f"{key}: {text!r} is not a size; write for example '512 mb' or '4 gb'")
    return int(digits) * _UNITS[unit]
