"""Only base/ and cpp/testing ask the operating system for time, files, threads, randomness."""

import re

import pytest

from tidy.source_tree import ROOT, cpp_without_comments, files_below, name_of, numbered_matches

# A libc call: not a member (.open, ->open), not qualified (Foo::open), not part of a longer word.
LIBC_CALL = r"(?<![\w.>:])(?:::)?(?:{names})\s*\("

FORBIDDEN = {
    "clock": re.compile(
        r"std::chrono::\w*clock\b"
        r"|\bstd::time\s*\("
        r"|\bthis_thread::sleep_\w+"
        r"|(?<![\w.>:])(?:::)?time\s*\(\s*(?:nullptr|NULL|0|&)"
        r"|" + LIBC_CALL.format(names="clock_gettime|gettimeofday|nanosleep|usleep|sleep")
    ),
    "file": re.compile(
        r"std::(?:basic_)?[io]?fstream\b"
        r"|std::filesystem\b"
        r"|"
        + LIBC_CALL.format(
            names="fopen|freopen|open|openat|creat|rename|unlink|mkdir|rmdir|opendir|fsync|fdatasync"
            "|ftruncate|mmap|flock|mkstemp"
        )
    ),
    "thread": re.compile(r"std::j?thread\b(?!::id)|std::async\b|" + LIBC_CALL.format(names="pthread_create|fork")),
    "randomness": re.compile(r"std::random_device\b|" + LIBC_CALL.format(names="rand|random|getrandom|arc4random")),
}
FREE_FOLDERS = (ROOT / "cpp/headrace/base", ROOT / "cpp/testing")


def violations(text: str, kind: str) -> list[tuple[int, str]]:
    return numbered_matches(FORBIDDEN[kind], cpp_without_comments(text))


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_the_operating_system_is_asked_only_through_env(kind):
    found = [
        f"{name_of(path)}:{line}: {text}"
        for path in files_below("cpp", ".h", ".cc")
        if not any(path.is_relative_to(folder) for folder in FREE_FOLDERS)
        for line, text in violations(path.read_text(encoding="utf-8"), kind)
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("clock", "auto t = std::chrono::steady_clock::now();"),
        ("clock", "clock_gettime(CLOCK_MONOTONIC, &ts);"),
        ("clock", "seed = time(nullptr);"),
        ("file", 'FILE* f = fopen("x", "r");'),
        ("file", "std::ofstream out(path);"),
        ("file", "int fd = ::open(path, O_RDONLY);"),
        ("file", "std::filesystem::remove(path);"),
        ("thread", "std::thread worker(Run);"),
        ("thread", "auto f = std::async(Run);"),
        ("randomness", "std::random_device device;"),
    ],
)
def test_a_forbidden_call_is_found(kind, text):
    assert violations(text, kind)


@pytest.mark.parametrize(
    "text",
    [
        "int64_t now = env.NowMs();  // not std::chrono::system_clock",
        'HR_CHECK(ok) << "fopen( failed";',
        "std::thread::id owner;",
        "gate.open(); gate->open();",
        "int64_t time(int row) const;",
    ],
)
def test_an_allowed_line_is_left_alone(text):
    assert [violations(text, kind) for kind in FORBIDDEN] == [[], [], [], []]
