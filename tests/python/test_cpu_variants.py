"""The engine is built for plain x86-64; kernels that gain from more choose at run time, and agree."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARCHIVES = ROOT / "build/release/cpp/headrace"

# Kernels with variants of their own; HEADRACE_CPU=baseline switches them off.
VARIANTS = {"Crc32cSse42"}
# What the baseline lacks: AVX and AVX-512 (v…), SSE3 to SSE4.2, and the bit manipulation sets. Not complete, but a
# compiler that was told of a newer processor uses some of these in any large program.
BEYOND_THE_BASELINE = re.compile(
    r"v(?!er[rw])[a-z0-9]{3,}|crc32[bwlq]?|popcnt[wlq]?|lzcnt[wlq]?|andn[lq]?|bextr|bls(?:r|i|msk)[lq]?|bzhi[lq]?"
    r"|mulx[lq]?|pdep[lq]?|pext[lq]?|rorx[lq]?|sarx[lq]?|shlx[lq]?|shrx[lq]?|movbe[lq]?"
    r"|pshufb|palignr|pmaddubsw|pabs[bwd]|phadd\w+|pblendw|pblendvb|pmulld|pmuldq|pm(?:in|ax)(?:s[bd]|u[wd])|pmov[sz]x\w+"
    r"|ptest|pinsr[bdq]|pextr[bdq]|pcmpeqq|pcmpgtq|round[sp][sd]|blendv?p[sd]|dpp[sd]|movddup|movs[hl]dup|haddp[sd]|addsubp[sd]"
)
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
INSTRUCTION = re.compile(r"^\s+[0-9a-f]+:\s+(?:(?:lock|rep[nze]*|bnd|notrack|data16|cs|ds|rex\S*) )*([a-z0-9]+)")


def instructions_beyond_the_baseline(listing: str) -> set[tuple[str, str]]:
    """Return (function, instruction) for each that plain x86-64 lacks."""
    function, found = "", set()
    for line in listing.splitlines():
        if match := FUNCTION.match(line):
            function = match[1]
        elif (match := INSTRUCTION.match(line)) and BEYOND_THE_BASELINE.fullmatch(match[1]):
            found.add((function, match[1]))
    return found


def disassembled(archive: Path) -> str:
    command = ["objdump", "-d", "-C", "--no-show-raw-insn", str(archive)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_libraries_use_nothing_beyond_the_baseline_but_in_variants():
    assert platform.machine() == "x86_64", "say here what the baseline of this machine is"
    archives = sorted(ARCHIVES.rglob("libhr_*.a"))
    assert len(archives) > 10
    found = {use for archive in archives for use in instructions_beyond_the_baseline(disassembled(archive))}
    outside = {(function, name) for function, name in found if not any(kernel in function for kernel in VARIANTS)}
    assert outside == set()
    assert {kernel for kernel in VARIANTS for function, _ in found if kernel in function} == VARIANTS


def test_foreign_instructions_are_found():
    listing = (
        "0000 <f(int)>:\n   0:\tvaddpd %ymm1,%ymm2,%ymm0\n   4:\tlock xadd %eax,(%rdx)\n   8:\tret\n   9:\tverr %ax\n"
    )
    assert instructions_beyond_the_baseline(listing) == {("f(int)", "vaddpd")}


def run(code: str, **environment: str) -> str:
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
    ).stdout


VARIANT_OF_CRC32C = "from headrace import _core; print(_core.kernel_variants()['crc32c'])"
RESUME = (
    "from headrace import _core; from python.test_golden_files import GOLDEN, run\n"
    "for line in run({'execution.state-recovery.path': str(GOLDEN / 'checkpoint_v1')}): print(line)"
)


def test_environment_chooses_the_variant():
    has_sse42 = "sse4_2" in Path("/proc/cpuinfo").read_text()
    assert run(VARIANT_OF_CRC32C, HEADRACE_CPU="").strip() == ("sse4.2" if has_sse42 else "baseline")
    assert run(VARIANT_OF_CRC32C, HEADRACE_CPU="baseline").strip() == "baseline"


def test_both_variants_read_the_same_checkpoint():
    golden = (ROOT / "tests/python/golden/checkpoint_v1/expected.txt").read_text()
    assert run(RESUME, HEADRACE_CPU="") == golden
    assert run(RESUME, HEADRACE_CPU="baseline") == golden
