"""The switches of planted bugs (cpp/headrace/base/planted_bug.h) are in no library of the normal build."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SWITCH = "HEADRACE_PLANTED_BUG"


def test_production_libraries_have_no_switch():
    source = (ROOT / "cpp/headrace/base/planted_bug.cc").read_text(encoding="utf-8")
    names = re.findall(r'^    "([a-z_]+)",$', source, re.MULTILINE)
    assert len(names) == 14
    module = importlib.util.find_spec("headrace._core").origin
    binaries = [Path(module), *(ROOT / "build/release/cpp").rglob("libhr_*.a")]
    assert len(binaries) > 10
    found = []
    for binary in binaries:
        content = binary.read_bytes()
        found += [f"{binary.name}: {name}" for name in [SWITCH, *names] if name.encode() in content]
        found += [f"{binary.name}: a symbol"] * (b"7Planted" in content)
    assert found == []
