"""State that an attacker wrote: pickles that run code when loaded, and names of classes. Nothing of it is executed."""

import copyreg
import ctypes
import ctypes.util
import json
import os
import pickle
import pickletools
import subprocess
import sys
from pathlib import Path

import pytest

from headrace import HeadraceError, _core, read_checkpoint
from python.pickle_payloads import OPCODES, payloads
from python.programs.hostile_state import MARKERS
from python.streams import lines_of
from python.test_bad_disks import crc32c

TESTS = Path(__file__).parent.parent
WRITTEN = b"pickle"  # in fingerprints of states declared as PICKLED_BYTE_ARRAY
DECLARED = b"object"  # in those of a program that declared nothing


def run_program(command: str, directory: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "python.programs.hostile_state", command, directory],
        env={**os.environ, "PYTHONPATH": str(TESTS)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-4000:]
    return ran.stdout


def xxh3_128(data: bytes) -> bytes:
    class Digest(ctypes.Structure):
        _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]

    library = ctypes.CDLL(ctypes.util.find_library("xxhash"))
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    library.XXH3_128bits.restype = Digest
    digest = library.XXH3_128bits(data, len(data))
    return int(digest.low).to_bytes(8, "little") + int(digest.high).to_bytes(8, "little")


def forge(manifest: Path) -> int:
    """Makes the states look undeclared, under right checksums, as an attacker would; how many there were."""
    # The last 20 bytes: digest of all before, then the CRC-32C of all before that.
    body = manifest.read_bytes()[:-20]
    found = body.count(WRITTEN)
    body = body.replace(WRITTEN, DECLARED)
    sealed = body + xxh3_128(body)
    manifest.write_bytes(sealed + crc32c(sealed).to_bytes(4, "little"))
    return found


def test_payloads_use_every_opcode_and_do_run_when_they_are_loaded(tmp_path):
    made = payloads(tmp_path)
    assert len(made) >= 100
    used = set()
    failed = 0
    for payload in made:
        used.update(opcode.name for opcode, _, _ in pickletools.genops(payload))
        try:
            pickle.loads(payload)
        except Exception:
            failed += 1  # many do their work and then fail
        copyreg._extension_registry.clear()
        copyreg._inverted_registry.clear()
        copyreg.clear_extension_cache()
    assert used == {opcode.name for opcode in OPCODES}
    assert failed < len(made)
    assert {int(path.name) for path in tmp_path.iterdir()} == set(range(len(made)))


@pytest.mark.parametrize("command", ["resume", "guarded"])
def test_hostile_pickles_in_state_are_refused_and_nothing_runs(tmp_path, command):
    (tmp_path / MARKERS).mkdir()
    run_program("write", tmp_path)
    manifest = max((tmp_path / "chk").rglob("chk-*.manifest"), key=lambda path: path.stat().st_mtime_ns)
    assert forge(manifest) >= 3
    shown = json.loads(run_program(command, tmp_path))
    assert any("resumed from checkpoint" in message for message in shown["messages"])
    assert list((tmp_path / MARKERS).iterdir()) == []
    assert shown["events"] == []
    assert shown["stub_calls"] == []
    assert shown["checkpoints"] >= 1, "the resumed job takes checkpoints too"
    # The first time each payload is met, in each kind of state, it is refused by name.
    refused = set()
    for number, state, outcome, what in map(json.loads, lines_of(tmp_path / "out")):
        if outcome == "refused":
            assert "PICKLED_BYTE_ARRAY" in what
            refused.add((number, state))
        else:
            assert what in (repr({"plain": [number]}), repr([number]), repr((number,)))
    numbers = range(len(payloads(tmp_path)))
    assert refused == {(number, state) for number in numbers for state in ("value", "items", "pairs")}


def test_a_state_declared_as_pickles_is_refused_by_a_program_that_declares_none(tmp_path):
    (tmp_path / MARKERS).mkdir()
    run_program("write", tmp_path)
    with pytest.raises(AssertionError, match=r"state '(value|items|pairs)'.*pickle"):
        run_program("resume", tmp_path)
    assert list((tmp_path / MARKERS).iterdir()) == []


def test_reading_a_checkpoint_loads_no_pickle_and_imports_nothing(tmp_path):
    (tmp_path / MARKERS).mkdir()
    run_program("write", tmp_path)
    manifest = max((tmp_path / "chk").rglob("chk-*.manifest"), key=lambda path: path.stat().st_mtime_ns)
    count = len(payloads(tmp_path))
    for forged in (False, True):
        if forged:
            assert forge(manifest) >= 3
        seen = json.loads(run_program("read", tmp_path))
        assert seen["shown"]["value"] == ["pickle", "binary", count]
        assert seen["shown"]["pairs"] == ["pickle", "binary", count]
        assert seen["shown"]["items"][:2] == ["pickle", "binary"]
        assert seen["shown"]["items"][2] >= count
        assert seen["events"] == []
        assert list((tmp_path / MARKERS).iterdir()) == []
    # Asked for by name they are loaded, and do what they do: the watch above would have seen it.
    with pytest.raises(HeadraceError, match="a stored pickle cannot be loaded"):
        read_checkpoint(manifest, allow_pickle=True)["hostile"]["value"].to_arrow()
    assert list((tmp_path / MARKERS).iterdir()) != []


def sized(data: bytes) -> bytes:
    length, encoded = len(data), b""
    while length > 0x7F:
        encoded += bytes([length & 0x7F | 0x80])
        length >>= 7
    return encoded + bytes([length]) + data


def test_pickles_inside_other_values_are_refused(tmp_path):
    one = b"\x01"
    for payload in payloads(tmp_path):
        hostile = b"\x18" + sized(payload)
        plain = b"\x00"
        for around in [
            hostile, b"\x09" + one + hostile, b"\x0a" + one + hostile, b"\x0b" + one + plain + hostile,
            b"\x0b" + one + hostile + plain, b"\x0c" + one + hostile, b"\x0d" + one + hostile,
            b"\x0a" + one + b"\x09" + one + b"\x0a" + one + hostile,
        ]:  # fmt: skip
            with pytest.raises(HeadraceError, match="PICKLED_BYTE_ARRAY"):
                _core.decode_value(around)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["posix.system", "builtins.eval", "subprocess.Popen", "os.system", "antigravity.x"])
@pytest.mark.parametrize("tag", [0x15, 0x16, 0x1A])
def test_class_names_in_state_are_never_imported(name, tag):
    encoded = _core.encode_value(("text",))[1:]
    before = set(sys.modules)
    with pytest.raises(HeadraceError, match=f"{name}.*register_class"):
        _core.decode_value(bytes([tag]) + sized(name.encode()) + encoded)
    assert "antigravity" not in sys.modules
    assert set(sys.modules) == before
