"""Sources and sinks: PyFlink's `pyflink.datastream.connectors`."""

from headrace.datastream.connectors.file_system import (
    FileSink,
    FileSource,
    OutputFileConfig,
    RollingPolicy,
    StreamFormat,
)
from headrace.datastream.connectors.number_seq import NumberSequenceSource
from headrace.datastream.connectors.source import Source

__all__ = [
    "FileSink", "FileSource", "NumberSequenceSource", "OutputFileConfig", "RollingPolicy", "Source", "StreamFormat",
]  # fmt: skip
