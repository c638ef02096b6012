"""Which configuration options hold credentials, and keeping them out of text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

# Flink's list, and what remote storages call theirs.
_PARTS = (
    "password", "secret", "fs.azure.account.key", "apikey", "api-key", "auth-params", "service-key", "token",
    "basic-auth", "jaas.config", "http-headers", "access-key", "access.key", "account-key", "sas-", "credential",
    "private-key",
)  # fmt: skip
_USER_AND_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]*@")
_QUERY = re.compile(r"([?&][^=&\s]*)=[^&\s]*")
_HIDDEN = "******"
_SHORTEST = 4  # a shorter value stands in too many other words


def is_sensitive(key: str) -> bool:
    """True when the value of this option must not be shown."""
    lower = key.lower()
    return any(part in lower for part in _PARTS)


def shown_value(key: str, value: Any) -> Any:
    """The value for messages: itself, or stars; of a URI what is no password."""
    if is_sensitive(key):
        return _HIDDEN
    if isinstance(value, str) and "://" in value:
        return _QUERY.sub(rf"\1={_HIDDEN}", _USER_AND_PASSWORD.sub(f"://{_HIDDEN}@", value))
    return value


class Secrets:
    """Values that must not appear in any text."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        found = {value for value in values if len(value) >= _SHORTEST}
        found |= {quote(value, safe="") for value in found}
        self._values = sorted(found, key=len, reverse=True)

    def clean(self, text: str) -> str:
        """The text with every secret replaced by stars."""
        for value in self._values:
            text = text.replace(value, _HIDDEN)
        return text

    def __repr__(self) -> str:
        return f"Secrets({len(self._values)})"

    def __reduce__(self) -> Any:
        raise TypeError("credentials are not pickled")
