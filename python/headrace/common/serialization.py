"""How records become text and bytes at the edges (PyFlink's `pyflink.common.serialization`)."""

from __future__ import annotations


class Encoder:
    """Writes records of a row-format file sink."""

    def __init__(self, charset_name: str) -> None:
        self._charset_name = charset_name

    @staticmethod
    def simple_string_encoder(charset_name: str = "UTF-8") -> Encoder:
        """`str(record)` and a line feed. Only UTF-8 is written.

        Raises:
            ValueError: another character set.
        """
        if charset_name.upper().replace("-", "") != "UTF8":
            raise ValueError(f"simple_string_encoder: only UTF-8 is supported, got {charset_name!r}")
        return Encoder(charset_name)


class SimpleStringSchema:
    """Text in a character set, one record a message or line."""

    def __init__(self, charset: str = "UTF-8") -> None:
        self._charset = charset
