"""Encrypted checkpoints: where keys come from, and writing checkpoints anew with another key.

With `execution.checkpointing.encryption.key-id` set, data files and manifests are encrypted with AES-256-GCM. Each file has a
key of its own, derived from the named key and a random salt, and says in its header which key it needs. A key is 32 bytes; it is
looked for, by its id, in this order:

1. the function given to `set_key_provider`,
2. the files given to `use_key_file`, and by `execution.checkpointing.encryption.key-file`,
3. the environment variable `HEADRACE_KEY_<ID>`, the id in capitals with `_` for `.` and `-`.

In files and variables a key is written as 64 hex digits or in base64. Keys are never written anywhere by headrace.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace import _core
from headrace.common.configuration import Configuration

KEY_ID = "execution.checkpointing.encryption.key-id"
KEY_FILE = "execution.checkpointing.encryption.key-file"
KEY_BYTES = 32

KeyProvider = Callable[[str], "bytes | bytearray | str | None"]


class _KeyNotFoundError(LookupError):
    """Its message is shown: it says where a key was looked for, and nothing of the key."""


class _Sources:
    """Where the process looks for keys."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.provider: KeyProvider | None = None
        self.files: list[Path] = []


_sources = _Sources()


def generate_key() -> str:
    """A new random key in base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def set_key_provider(provider: KeyProvider | None) -> None:
    """Sets the function that is asked for keys first, or none.

    Args:
        provider: Takes a key id; returns 32 bytes, text in hex or base64, or None if it does not have the key. It may be
            called on any thread, once for each key. What it raises fails whoever needs the key, without its message.
    """
    with _sources.lock:
        _sources.provider = provider


def use_key_file(path: str | Path) -> None:
    """Adds a file of keys: lines `id: key`, `#` begins a comment. It is read when a key is needed.

    Raises:
        FileNotFoundError: there is no such file.
    """
    found = Path(path).absolute()
    if not found.is_file():
        raise FileNotFoundError(f"{KEY_FILE}: there is no file {str(found)!r}")
    with _sources.lock:
        if found not in _sources.files:
            _sources.files.append(found)


def forget_keys() -> None:
    """Wipes the keys that the process holds and forgets the provider and the key files."""
    with _sources.lock:
        _sources.provider = None
        _sources.files.clear()
    _core.forget_keys()


def rekey(path: str | Path, key_id: str | None) -> dict[str, Any]:
    """Writes all checkpoints of a job's directory anew, encrypted with the key `key_id`; with None in the clear.

    No job may use the directory meanwhile. Each checkpoint is replaced at once: whoever is interrupted has some under the
    old key and some under the new, all whole, and calls it again. Files already under that key are left as they are.

    Args:
        path: The directory of a job, which holds its `chk-*.manifest` files.
        key_id: Of the key that the files are to need from now on. Keys that they need now must be there too.

    Returns:
        `checkpoints`, `files` and `bytes` written anew.

    Raises:
        InvalidArgumentError: not a key id.
        FailedPreconditionError: a key is missing or wrong, or a job uses the directory.
        CorruptionError: a checkpoint is damaged; those before it are done.
    """
    return _core.rekey_checkpoints(str(Path(path).absolute()), key_id or "")


def encryption_options(configuration: Configuration) -> dict[str, Any]:
    """What the engine is told of encryption."""
    key_id = configuration.get_string(KEY_ID) or ""
    key_file = configuration.get_string(KEY_FILE)
    if key_file:
        use_key_file(key_file)
    if key_id:
        _core.check_key_id(key_id)
    return {"encryption_key_id": key_id}


def _variable(key_id: str) -> str:
    return "HEADRACE_KEY_" + re.sub("[^A-Z0-9]", "_", key_id.upper())


def _decode(key: bytes | bytearray | str, key_id: str, place: str) -> bytes:
    if isinstance(key, str):
        text = key.strip()
        try:
            key = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            # Without `from`: the cause would show the text.
            raise _KeyNotFoundError(f"key {key_id!r}: {place} holds neither 64 hex digits nor base64") from None
    if len(key) != KEY_BYTES:
        raise _KeyNotFoundError(f"key {key_id!r}: {place} holds {len(key)} bytes; AES-256 takes {KEY_BYTES}")
    return bytes(key)


def _in_file(path: Path, key_id: str) -> str | None:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise _KeyNotFoundError(
            f"key {key_id!r}: the key file {str(path)!r} cannot be read: {error.strerror}"
        ) from None
    for line in lines:
        name, separator, key = line.partition(":")
        if separator and not line.lstrip().startswith("#") and name.strip() == key_id:
            return key
    return None


def _find_key(key_id: str) -> bytes:
    """The engine asks here. _KeyNotFoundError says where the key was looked for in vain."""
    with _sources.lock:
        provider, files = _sources.provider, list(_sources.files)
    if provider is not None and (given := provider(key_id)) is not None:
        return _decode(given, key_id, "what the key provider returned")
    for path in files:
        if (text := _in_file(path, key_id)) is not None:
            return _decode(text, key_id, f"the key file {str(path)!r}")
    variable = _variable(key_id)
    if variable in os.environ:
        return _decode(os.environ[variable], key_id, f"the environment variable {variable}")
    places = ["the key provider"] if provider is not None else []
    places += [f"the key file {str(path)!r}" for path in files]
    raise _KeyNotFoundError(
        f"key {key_id!r} is in none of: {', '.join([*places, f'the environment variable {variable}'])}"
    )
