"""Input that several engines get alike. Standard library only: the peers' environments import it too."""

import random
import zlib

WORDS_PER_LINE = 10
VOCABULARY = 50_000
KEYS = 10_000


def lines(words: int) -> list[str]:
    """Lines of ten words; word k of 50,000 comes in proportion to 1 / k (Zipf's law, exponent 1)."""
    random_source = random.Random(1)
    vocabulary = [f"word{number}" for number in range(VOCABULARY)]
    random_source.shuffle(vocabulary)
    weights = [1 / rank for rank in range(1, VOCABULARY + 1)]
    chosen = random_source.choices(vocabulary, weights, k=words)
    return [" ".join(chosen[start : start + WORDS_PER_LINE]) for start in range(0, words, WORDS_PER_LINE)]


def records(count: int) -> list[tuple[int, int, int]]:
    """Tuples (number, key, value) with 10,000 uniform integer keys."""
    random_source = random.Random(2)
    keys = random_source.choices(range(KEYS), k=count)
    return [(number, key, number % 1000) for number, key in enumerate(keys)]


def digest(counts: dict) -> int:
    """One number for a multiset of (key, count), the same in every process."""
    return sum(zlib.crc32(f"{key}:{count}".encode()) for key, count in counts.items())


def largest_counts(pairs: list) -> dict:
    """The last running count of each key, from (key, count) pairs in any order."""
    counts: dict = {}
    for key, count in pairs:
        if count > counts.get(key, 0):
            counts[key] = count
    return counts


def triangle_sum(counts: dict) -> int:
    """What all running counts 1, 2, …, n of every key add up to."""
    return sum(count * (count + 1) // 2 for count in counts.values())
