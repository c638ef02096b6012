"""Base of source objects for `env.from_source`."""

from __future__ import annotations

from headrace import _core


class Source:
    """A source that plans splits and reads them; see the subclasses."""

    _kind = "source"

    def _schema(self) -> _core.Schema:
        """Columns of the records."""
        raise NotImplementedError

    def _make(self, schema: _core.Schema) -> _core.Source:
        """The engine's source, giving records of `schema`."""
        raise NotImplementedError

    def _side_schemas(self) -> dict[str, _core.Schema]:
        """Schemas of the source's own side outputs, by tag id."""
        return {}
