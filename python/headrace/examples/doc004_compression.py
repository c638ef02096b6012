"""Document 004's compress_data and decompress_data, for each codec: S, C and the measured ratio T = S / C."""

from __future__ import annotations

from headrace.state_transfer import compress_data, decompress_data

CODECS = ["none", "lz4", "snappy", "zstd"]


def sample() -> bytes:
    """Text as state often holds it: much alike."""
    return b"".join(b"user-%06d;visits=%d;page=/products/%d\n" % (n, n % 97, n % 13) for n in range(4000))


def sizes(data: bytes) -> dict[str, tuple[int, int, float]]:
    """S, C and T by codec; each comes back as it was."""
    measured = {}
    for codec in CODECS:
        compressed_data = compress_data(data, codec)
        if decompress_data(compressed_data) != data:
            raise AssertionError(f"{codec} lost something")
        measured[codec] = (len(data), len(compressed_data), len(data) / len(compressed_data))
    return measured


def main() -> None:
    """Prints the table."""
    print(f"{'codec':8} {'S':>8} {'C':>8} {'T = S/C':>8}")
    for codec, (before, after, ratio) in sizes(sample()).items():
        print(f"{codec:8} {before:8} {after:8} {ratio:8.2f}")


if __name__ == "__main__":
    main()
