"""The recorded program: what the user asked for, step by step, until execute() hands it to the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from headrace import _core
from headrace.common.typeinfo import TypeInformation, Types

MAX_PARALLELISM_LIMIT = 32768


@dataclass(eq=False)
class Edge:
    """One input of a step."""

    source: Transformation
    partitioning: str = "forward"
    tag: str = ""
    input: int = 0
    chosen: bool = False
    """The program asked for this partitioning; else "forward" becomes "rebalance" where the parallelism changes."""


@dataclass(eq=False)
class Transformation:
    """One step: a source or an operator. `make` is called at each execute(), so functions are copied as they are then."""

    kind: str
    name: str
    make: Callable[[], Any]
    schema: _core.Schema
    inputs: list[Edge] = field(default_factory=list)
    keyed: bool = False
    parallelism: int | None = None
    max_parallelism: int | None = None
    uid: str = ""
    fixed_parallelism: int | None = None
    keeps_parallelism: bool = False
    """Unless set, the parallelism is that of the inputs: the step adds no exchange and keeps the order of rows."""
    live: bool = False
    """A source whose records come from outside, at their own pace."""
    start_new_chain: bool = False
    disable_chaining: bool = False
    buffer_timeout_ms: int = -1
    delivery_note: str = ""
    source_options: dict[str, Any] = field(default_factory=dict)
    side_schemas: dict[str, _core.Schema] = field(default_factory=dict)
    """Schemas of side outputs that do not depend on the tag (late data, bad rows), by tag id."""

    @property
    def is_source(self) -> bool:
        """True when the step has no input."""
        return not self.inputs

    @property
    def source_step(self) -> Transformation:
        """The first step of the line that this one ends: the source behind assigned timestamps."""
        return self if self.is_source else self.inputs[0].source.source_step

    def side_output_step(self, tag_id: str) -> Transformation:
        """The step that has the side output: assigning timestamps leaves those of its input where they are."""
        step = self
        while step.kind in ("timestamps", "assign_timestamps") and tag_id not in step.side_schemas:
            step = step.inputs[0].source
        return step


def schema_of(type_info: TypeInformation | None) -> _core.Schema:
    """The schema of records of a type; of opaque objects when it is None or `Types.OBJECT()`."""
    return _core.Schema(None if type_info is None or type_info == Types.OBJECT() else type_info._describe())


def column_kind(schema: _core.Schema, index: int) -> str:
    """Name of a column's type ("int64", "string", ...); "object" on streams without a declared type."""
    description: Any = schema.type_desc
    if description is None:
        return "object"
    if description[0] == "row":
        return str(description[2][index][0])
    return str(description[1][index][0] if description[0] == "tuple" else description[0])


def build_graph(roots: Iterable[Transformation], parallelism: int, max_parallelism: int) -> _core.Graph:
    """The engine's graph of `roots` and everything they read from, inputs before consumers.

    Args:
        roots: Steps recorded since the last execute().
        parallelism: For steps that set none and do not keep that of their inputs.
        max_parallelism: For steps that set none.
    """
    graph = _core.Graph()
    ids: dict[Transformation, int] = {}
    parallelism_of: dict[Transformation, int] = {}
    for step in in_order(roots):
        step_parallelism = step.fixed_parallelism or step.parallelism or parallelism
        if step.keeps_parallelism and not step.fixed_parallelism and not step.parallelism:
            step_parallelism = max(parallelism_of[edge.source] for edge in step.inputs)
        parallelism_of[step] = step_parallelism
        common: dict[str, Any] = {
            "name": step.name,
            "uid": step.uid,
            "parallelism": step_parallelism,
            "max_parallelism": step.max_parallelism or max_parallelism,
            "schema": step.schema,
        }
        if step.is_source:
            ids[step] = graph.add_source(step.make(), kind=step.kind, **common, **step.source_options)
            continue
        inputs = []
        for edge in step.inputs:
            partitioning = edge.partitioning
            if partitioning == "forward" and not edge.chosen and parallelism_of[edge.source] != step_parallelism:
                partitioning = "rebalance"
            inputs.append((ids[edge.source], partitioning, edge.tag, edge.input))
        ids[step] = graph.add_operator(
            step.make(),
            kind=step.kind,
            keyed=step.keyed,
            inputs=inputs,
            start_new_chain=step.start_new_chain,
            disable_chaining=step.disable_chaining,
            buffer_timeout_ms=step.buffer_timeout_ms,
            delivery_note=step.delivery_note,
            **common,
        )
    return graph


def in_order(roots: Iterable[Transformation]) -> list[Transformation]:
    """`roots` and all steps upstream of them, each once, inputs first, otherwise in order of recording."""
    ordered: dict[Transformation, None] = {}
    pending = [(root, False) for root in reversed(list(roots))]
    while pending:
        step, inputs_done = pending.pop()
        if step in ordered:
            continue
        if inputs_done:
            ordered[step] = None
        else:
            pending.append((step, True))
            pending.extend((edge.source, False) for edge in reversed(step.inputs))
    return list(ordered)


def check_max_parallelism(number: int) -> None:
    """Raises ValueError unless `number` can be a number of key groups."""
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= MAX_PARALLELISM_LIMIT:
        raise ValueError(f"max_parallelism: must be an int from 1 to {MAX_PARALLELISM_LIMIT}, got {number!r}")


def check_parallelism(number: int) -> None:
    """Raises ValueError unless `number` can be a number of subtasks."""
    if not isinstance(number, int) or isinstance(number, bool) or number <= 0:
        raise ValueError(f"parallelism: must be a positive int, got {number!r}")
