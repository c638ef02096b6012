"""Files as sources and sinks (PyFlink's `pyflink.datastream.connectors.file_system`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headrace import _core
from headrace.common.serialization import Encoder
from headrace.common.time import DurationLike, to_milliseconds
from headrace.datastream.connectors import file_readers
from headrace.datastream.connectors.source import Source


class StreamFormat:
    """How a file becomes records."""

    def __init__(self, charset_name: str) -> None:
        self._charset_name = charset_name

    @staticmethod
    def text_line_format(charset_name: str = "UTF-8") -> StreamFormat:
        """One record a line."""
        return StreamFormat(charset_name)


class FileSource(Source):
    """Reads a fixed set of files; made by `for_record_stream_format(...).build()`."""

    _kind = "text_file"

    def __init__(self, paths: tuple[str, ...], charset_name: str) -> None:
        self._text = file_readers.TextFileSource(list(paths), charset_name)

    @staticmethod
    def for_record_stream_format(stream_format: StreamFormat, *paths: str) -> FileSourceBuilder:
        """A builder of a source over these paths or globs."""
        return FileSourceBuilder(stream_format, paths)

    def _schema(self) -> _core.Schema:
        return self._text._schema()

    def _make(self, schema: _core.Schema) -> _core.Source:
        return self._text._make(schema)


class FileSourceBuilder:
    """Builds a FileSource."""

    def __init__(self, stream_format: StreamFormat, paths: tuple[str, ...]) -> None:
        if not paths:
            raise ValueError("FileSource: give at least one path")
        self._format = stream_format
        self._paths = paths

    def process_static_file_set(self) -> FileSourceBuilder:
        """Reads the files there are at the start (default)."""
        return self

    def build(self) -> FileSource:
        """The source."""
        return FileSource(tuple(map(str, self._paths)), self._format._charset_name)


class RollingPolicy:
    """When a sink closes a part file and begins the next. Every checkpoint closes it too."""

    def __init__(self, part_size: int, rollover_interval_ms: int) -> None:
        self._part_size = part_size
        self._rollover_interval_ms = rollover_interval_ms

    @staticmethod
    def default_rolling_policy(
        part_size: int = 128 << 20, rollover_interval: DurationLike = 60_000, inactivity_interval: DurationLike = 60_000
    ) -> RollingPolicy:
        """By size in bytes and age."""
        to_milliseconds(inactivity_interval, "inactivity_interval")
        if part_size <= 0:
            raise ValueError(f"part_size: must be positive, got {part_size}")
        return RollingPolicy(part_size, to_milliseconds(rollover_interval, "rollover_interval"))

    @staticmethod
    def on_checkpoint_rolling_policy() -> RollingPolicy:
        """At checkpoints only."""
        return RollingPolicy(1 << 62, 1 << 62)


class OutputFileConfig:
    """Names of part files: `<prefix>-<run>-<checkpoint>-<subtask>-<counter><suffix>`."""

    def __init__(self, part_prefix: str, part_suffix: str) -> None:
        self.part_prefix = part_prefix
        self.part_suffix = part_suffix

    @staticmethod
    def builder() -> OutputFileConfigBuilder:
        """A builder with prefix "part" and no suffix."""
        return OutputFileConfigBuilder()


class OutputFileConfigBuilder:
    """Builds an OutputFileConfig."""

    def __init__(self) -> None:
        self._prefix = "part"
        self._suffix = ""

    def with_part_prefix(self, prefix: str) -> OutputFileConfigBuilder:
        """Sets the prefix."""
        self._prefix = prefix
        return self

    def with_part_suffix(self, suffix: str) -> OutputFileConfigBuilder:
        """Sets the suffix, such as ".txt"."""
        self._suffix = suffix
        return self

    def build(self) -> OutputFileConfig:
        """The configuration."""
        return OutputFileConfig(self._prefix, self._suffix)


class FileSink:
    """Writes records to part files that become visible, whole, with the checkpoint that covers them."""

    def __init__(self, path: str | Path, encoder: Any, policy: RollingPolicy, names: OutputFileConfig) -> None:
        self._path = Path(path)
        self._encoder = encoder
        self._policy = policy
        self._names = names

    @staticmethod
    def for_row_format(base_path: str | Path, encoder: Any = None) -> RowFormatBuilder:
        """A builder of a sink that writes one line a record.

        Args:
            base_path: Directory of the part files.
            encoder: `Encoder.simple_string_encoder()` (default), or a function from a record to str or bytes, or an
                object with such a method `encode`.

        Raises:
            TypeError: `encoder` is none of these.
            ValueError: `base_path` is not local.
        """
        if encoder is not None and not (
            isinstance(encoder, Encoder) or hasattr(encoder, "encode") or callable(encoder)
        ):
            raise TypeError(
                "for_row_format: expected an Encoder, a function from a record to str or bytes, or an object with such "
                f"an encode method, got {type(encoder).__name__}"
            )
        return RowFormatBuilder(base_path, encoder or Encoder.simple_string_encoder())

    def _describe(self) -> dict[str, Any]:
        return {
            "path": str(self._path.absolute()),
            "prefix": self._names.part_prefix,
            "suffix": self._names.part_suffix,
            "roll_size_bytes": self._policy._part_size,
            "roll_interval_ms": self._policy._rollover_interval_ms,
        }


class RowFormatBuilder:
    """Builds a row-format FileSink."""

    def __init__(self, base_path: str | Path, encoder: Any) -> None:
        text = str(base_path)
        if text.startswith("file://"):
            text = text[len("file://") :]
        if "://" in text:
            raise ValueError(f"FileSink: {base_path!r}: only local directories can be written yet")
        self._path = text
        self._encoder = encoder
        self._policy = RollingPolicy.default_rolling_policy()
        self._names = OutputFileConfig("part", "")

    def with_rolling_policy(self, rolling_policy: RollingPolicy) -> RowFormatBuilder:
        """Sets when part files are closed."""
        self._policy = rolling_policy
        return self

    def with_output_file_config(self, output_file_config: OutputFileConfig) -> RowFormatBuilder:
        """Sets how part files are named."""
        self._names = output_file_config
        return self

    def build(self) -> FileSink:
        """The sink."""
        return FileSink(self._path, self._encoder, self._policy, self._names)
