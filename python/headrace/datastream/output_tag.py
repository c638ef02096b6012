"""Names of side outputs."""

from __future__ import annotations

from headrace.common.typeinfo import TypeInformation


class OutputTag:
    """Names a side output: `yield tag, value` in any process function sends `value` there.

    Args:
        tag_id: Name, not empty; two tags of one name are the same output.
        type_info: Type of the records, None for opaque objects.
    """

    def __init__(self, tag_id: str, type_info: TypeInformation | None = None) -> None:
        if not tag_id:
            raise ValueError("an OutputTag needs a name that is not empty")
        self.tag_id = tag_id
        self.type_info = type_info

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OutputTag) and self.tag_id == other.tag_id

    def __hash__(self) -> int:
        return hash(self.tag_id)

    def __repr__(self) -> str:
        return f"OutputTag({self.tag_id!r})"
