"""The comparisons of C++ text, and the text in which each can be flipped by its number."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

FLIPS = {"==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">"}
TYPES = {
    "==": "== ::mutants::Equal{%d} ==",
    "!=": "== ::mutants::NotEqual{%d} ==",
    "<": "< ::mutants::Less{%d} <",
    "<=": "< ::mutants::LessEqual{%d} <",
    ">": "< ::mutants::Greater{%d} <",
    ">=": "< ::mutants::GreaterEqual{%d} <",
}

# clang-format puts spaces around comparisons and none around the brackets of a template.
COMPARISON = re.compile(r"(?<= )(?:==|!=|<=|>=|<|>)(?=\s)")
NOT_CODE = re.compile(r'//[^\n]*|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(?:\\.|[^\'\\\n])+\'|^\s*#[^\n]*', re.MULTILINE)
# Made by the compiler, or true unless the engine has a bug: nothing to notice in either.
CHECK = re.compile(r"\b(?:static_assert|HR_CHECK\w*)\(")
PLANTED = re.compile(r"\bif \((?=Planted\()")


@dataclass(frozen=True)
class Comparison:
    """One comparison: where its operator stands in the text, the number of its line, and that line with the flip."""

    begin: int
    operator: str
    line: int
    flipped: str


def blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def end_of(code: str, begin: int, brackets: str) -> int:
    """Return where the bracket that was opened before `begin` is closed."""
    depth = 1
    while depth:
        depth += {brackets[0]: 1, brackets[1]: -1}.get(code[begin], 0)
        begin += 1
    return begin


def without_checks(code: str) -> str:
    """Blank out whole checks, which may go over several lines."""
    for found in CHECK.finditer(code):
        end = end_of(code, found.end(), "()")
        code = code[: found.start()] + blank(code[found.start() : end]) + code[end:]
    return code


def without_planted_bugs(code: str) -> str:
    """Blank out what a planted bug does, with its condition: nothing of it is in the engine that users get."""
    for found in PLANTED.finditer(code):
        end = end_of(code, found.end(), "()")
        block = re.compile(r"\s*\{").match(code, end)
        end = end_of(code, block.end(), "{}") if block else code.index(";", end)
        code = code[: found.start()] + blank(code[found.start() : end]) + code[end:]
    return code


def comparisons_of(text: str) -> Iterator[Comparison]:
    """Yield the comparisons of a source file in order."""
    code = without_planted_bugs(without_checks(NOT_CODE.sub(lambda found: blank(found[0]), text)))
    for found in COMPARISON.finditer(code):
        begin = text.rfind("\n", 0, found.start()) + 1
        end = text.find("\n", found.end())
        flipped = text[begin : found.start()] + FLIPS[found[0]] + text[found.end() : end]
        yield Comparison(found.start(), found[0], text.count("\n", 0, begin) + 1, flipped.strip())


def with_switches(text: str, first_number: int) -> str:
    """Return the text with comparisons that flip.h can flip, numbered from `first_number`."""
    pieces = []
    begin = 0
    for number, comparison in enumerate(comparisons_of(text), first_number):
        pieces += [text[begin : comparison.begin], TYPES[comparison.operator] % number]
        begin = comparison.begin + len(comparison.operator)
    return '#include "mutants/flip.h"\n' + "".join(pieces) + text[begin:]
