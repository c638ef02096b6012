"""Settings of a program that are no checkpoint settings (PyFlink's `pyflink.common.execution_config`)."""

from __future__ import annotations

from headrace.common.configuration import Configuration


class ExecutionConfig:
    """A view of the execution options of an environment's configuration."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._global_job_parameters: dict[str, str] = {}

    def set_parallelism(self, parallelism: int) -> ExecutionConfig:
        """Sets the default parallelism."""
        self._configuration.set_integer("parallelism.default", parallelism)
        return self

    def get_parallelism(self) -> int:
        """The default parallelism."""
        return self._configuration.get_integer("parallelism.default", 1) or 1

    def set_max_parallelism(self, max_parallelism: int) -> ExecutionConfig:
        """Sets the default number of key groups."""
        self._configuration.set_integer("pipeline.max-parallelism", max_parallelism)
        return self

    def get_max_parallelism(self) -> int:
        """The default number of key groups, -1 when not set (then 128)."""
        return self._configuration.get_integer("pipeline.max-parallelism", -1) or -1

    def enable_object_reuse(self) -> ExecutionConfig:
        """Functions promise never to change or emit again what they emitted: nothing is copied."""
        self._configuration.set_boolean("pipeline.object-reuse", True)
        return self

    def disable_object_reuse(self) -> ExecutionConfig:
        """Emitted mutable values that somebody else still refers to are copied (default)."""
        self._configuration.set_boolean("pipeline.object-reuse", False)
        return self

    def is_object_reuse_enabled(self) -> bool:
        """True when nothing is copied."""
        return bool(self._configuration.get_boolean("pipeline.object-reuse", False))

    def set_auto_watermark_interval(self, interval: int) -> ExecutionConfig:
        """Milliseconds between watermarks of live sources that have nothing to read."""
        self._configuration.set_integer("pipeline.auto-watermark-interval", interval)
        return self

    def get_auto_watermark_interval(self) -> int:
        """Milliseconds between watermarks of live sources that have nothing to read."""
        return self._configuration.get_integer("pipeline.auto-watermark-interval", 200) or 0

    def set_global_job_parameters(self, parameters: dict[str, str]) -> ExecutionConfig:
        """Parameters that functions may read."""
        self._global_job_parameters = dict(parameters)
        return self

    def get_global_job_parameters(self) -> dict[str, str]:
        """Parameters that functions may read."""
        return dict(self._global_job_parameters)
