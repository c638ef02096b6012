"""What `make mutants` flips, and what its committed report says."""

from collections import Counter

import pytest

from mutants.comparisons import comparisons_of, with_switches
from mutants.report import SURVIVORS_SHARE_MAX, all_mutants, committed_report, equivalent_mutants


def test_at_most_one_flip_in_ten_survives():
    report = committed_report()
    print(f"\nmutants: {report.summary()}")
    assert [e.name for e in report.files if e.flips != e.noticed + e.equivalent + len(e.survivors)] == []
    assert report.survived_share() <= SURVIVORS_SHARE_MAX


def test_the_report_is_of_about_this_tree():
    # Else `make mutants ARGS=--changed` has to run again.
    tried = sum(entry.flips for entry in committed_report().of_this_tree())
    assert tried >= 0.9 * len(all_mutants())


def test_each_equivalent_flip_is_one_of_the_tree_and_has_a_reason():
    flips = Counter(mutant.key for mutant in all_mutants())
    listed = [(entry["file"], entry["flipped"]) for entry in equivalent_mutants()]
    assert [key for key in listed if flips[key] != 1] == []
    assert len(set(listed)) == len(listed)
    assert [entry for entry in equivalent_mutants() if len(entry["reason"]) < 20] == []


@pytest.mark.parametrize(
    ("text", "operators"),
    [
        ("if (a < b && c != d) return x >= y;", ["<", "!=", ">="]),
        ("return a ==\n       b;", ["=="]),
        ("std::vector<int> a; a->b(c << 1, d >> 2);", []),
        ("x(); // a < b\nf(\"a < b\", ' ');", []),
        ("#if A < B\n#endif", []),
        ("HR_CHECK(f(a) &&\n         b < c) << d;\nstatic_assert(a == b);", []),
        ("const auto n = 8'192 < a ? 1'000 : b;", ["<"]),
        ("if (Planted(PlantedBug::kOne) && a < b) {\n  if (c > d) e();\n}\nif (f == g) h();", ["=="]),
        ("if (Planted(PlantedBug::kOne) && a < b) return c > d;\nif (f != g) h();", ["!="]),
        ("bool operator==(const Key&) const = default;", []),
        ("auto operator<=>(const Key& a) const;", []),
    ],
)
def test_comparisons_are_found_and_nothing_else(text, operators):
    assert [comparison.operator for comparison in comparisons_of(text)] == operators


def test_a_flip_is_numbered_and_shown_in_its_line():
    text = "\n  if (a < b) f(c == d);\n"
    assert [(found.line, found.flipped) for found in comparisons_of(text)] == [
        (2, "if (a <= b) f(c == d);"),
        (2, "if (a < b) f(c != d);"),
    ]
    switches = with_switches(text, 7)
    assert "if (a < ::mutants::Less{7} < b) f(c == ::mutants::Equal{8} == d);" in switches
