"""Configuration by Flink's keys (PyFlink's `pyflink.common.configuration`)."""

from __future__ import annotations

import copy
from typing import Any

from headrace.common.sensitive_keys import shown_value


class Configuration:
    """A string-keyed set of options; unknown keys are kept and ignored."""

    def __init__(self, other: Configuration | None = None, j_configuration: Any = None) -> None:
        if j_configuration is not None:
            raise ValueError("j_configuration: there is no JVM here; use Configuration.from_dict or set_string")
        self._options: dict[str, Any] = dict(other._options) if other is not None else {}

    @staticmethod
    def from_dict(options: dict[str, Any]) -> Configuration:
        """A configuration of the dict's items."""
        configuration = Configuration()
        configuration._options.update(options)
        return configuration

    def set_string(self, key: str, value: str) -> Configuration:
        """Sets an option from a string."""
        self._options[key] = value
        return self

    def set_integer(self, key: str, value: int) -> Configuration:
        """Sets an option from an int."""
        self._options[key] = int(value)
        return self

    def set_boolean(self, key: str, value: bool) -> Configuration:
        """Sets an option from a bool."""
        self._options[key] = bool(value)
        return self

    def set_float(self, key: str, value: float) -> Configuration:
        """Sets an option from a float."""
        self._options[key] = float(value)
        return self

    def set_bytearray(self, key: str, value: bytearray) -> Configuration:
        """Sets an option from bytes."""
        self._options[key] = bytearray(value)
        return self

    def get_string(self, key: str, default_value: str | None = None) -> str | None:
        """The option as a string."""
        value = self._options.get(key)
        return default_value if value is None else str(value)

    def get_integer(self, key: str, default_value: int | None = None) -> int | None:
        """The option as an int. Raises ValueError naming the key when it is not one."""
        value = self._options.get(key)
        if value is None:
            return default_value
        try:
            return int(value)
        except (TypeError, ValueError):
            pass  # its text quotes the value, which may be secret
        raise ValueError(f"option {key!r}: {shown_value(key, value)!r} is not an integer")

    def get_boolean(self, key: str, default_value: bool | None = None) -> bool | None:
        """The option as a bool; strings 'true' and 'false' count. Raises ValueError naming the key otherwise."""
        value = self._options.get(key)
        if value is None:
            return default_value
        if isinstance(value, bool):
            return value
        text = str(value).strip().lower()
        if text not in ("true", "false"):
            raise ValueError(f"option {key!r}: {shown_value(key, value)!r} is neither 'true' nor 'false'")
        return text == "true"

    def get_float(self, key: str, default_value: float | None = None) -> float | None:
        """The option as a float. Raises ValueError naming the key when it is not one."""
        value = self._options.get(key)
        if value is None:
            return default_value
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
        raise ValueError(f"option {key!r}: {shown_value(key, value)!r} is not a number")

    def get_bytearray(self, key: str, default_value: bytearray | None = None) -> bytearray | None:
        """The option as bytes."""
        value = self._options.get(key)
        return default_value if value is None else bytearray(value)

    def key_set(self) -> set[str]:
        """All keys."""
        return set(self._options)

    def add_all(self, other: Configuration, prefix: str | None = None) -> Configuration:
        """Takes over all options of `other`, each key after `prefix`."""
        self._options.update({(prefix or "") + key: value for key, value in other._options.items()})
        return self

    def add_all_to_dict(self, target_dict: dict[str, Any]) -> None:
        """Copies all options into `target_dict`."""
        target_dict.update(self._options)

    def contains_key(self, key: str) -> bool:
        """True when the option is set."""
        return key in self._options

    def to_dict(self) -> dict[str, str]:
        """All options as strings."""
        return {key: str(value) for key, value in self._options.items()}

    def remove_config(self, key: str) -> bool:
        """Unsets an option; True when it was set."""
        return self._options.pop(key, None) is not None

    @staticmethod
    def parse_list_value(value: str) -> list[str]:
        """Items of a `;`-separated list option."""
        return [item.strip() for item in value.strip("[]").split(";" if ";" in value else ",") if item.strip()]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Configuration) and self._options == other._options

    def __hash__(self) -> int:
        return hash(frozenset((key, str(value)) for key, value in self._options.items()))

    def __deepcopy__(self, memo: dict[int, Any]) -> Configuration:
        return Configuration.from_dict(copy.deepcopy(self._options, memo))

    def __str__(self) -> str:
        return "{" + ", ".join(f"{key}={shown_value(key, value)}" for key, value in self._options.items()) + "}"

    __repr__ = __str__
