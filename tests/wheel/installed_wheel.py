"""Run by .ci/wheel.sh with an installed wheel: a first program, and a job that is killed and resumed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

BUNDLED = {"libzstd", "liblz4", "libsnappy"}
BUNDLED_FOR_ROCKSDB = {"librocksdb", "libgflags", "libbz2"}
RECORDS = 2000
KEYS = 7


def hello_world() -> None:
    from headrace.common import Time, Types, WatermarkStrategy
    from headrace.datastream import StreamExecutionEnvironment
    from headrace.datastream.window import TumblingEventTimeWindows

    env = StreamExecutionEnvironment.get_execution_environment()
    readings = env.from_collection(
        [("north", 3, 1_000), ("south", 5, 2_500), ("north", 4, 9_000), ("north", 1, 12_000)],
        type_info=Types.ROW_NAMED(["station", "value", "ts"], [Types.STRING(), Types.LONG(), Types.LONG()]),
    )
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_field("ts")
    keyed = readings.assign_timestamps_and_watermarks(strategy).key_by("station")
    totals = keyed.window(TumblingEventTimeWindows.of(Time.seconds(10))).reduce(lambda a, b: (a[0], a[1] + b[1], b[2]))
    found = sorted((row[0], row[1]) for row in totals.execute_and_collect())
    assert found == [("north", 1), ("north", 7), ("south", 5)], found


def checkpointed_job(folder: Path, rows_per_second: float) -> None:
    """Running counts per key, with the codecs that need the bundled libraries; goes on where it was killed."""
    from headrace import Configuration, FileSink, KeyedProcessFunction, StreamExecutionEnvironment, ValueStateDescriptor

    class Count(KeyedProcessFunction):
        def open(self, runtime_context):
            self.count = runtime_context.get_state(ValueStateDescriptor("count"))

        def process_element(self, value, ctx):
            count = (self.count.value() or 0) + 1
            self.count.update(count)
            yield f"{value % KEYS} {count}"

    options = {
        "execution.checkpointing.interval": "20 ms",
        "execution.checkpointing.dir": str(folder / "checkpoints"),
        "execution.state-recovery.path": "latest",
    }
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(options))
    numbers = env.from_collection(range(RECORDS), rows_per_second=rows_per_second)
    counts = numbers.key_by(lambda n: n % KEYS).process(Count())
    counts.sink_to(FileSink.for_row_format(folder / "out").build())
    client = env.execute_async("counts")
    while not client.status().is_terminal_state():
        if client.metrics()["job.checkpoints_completed"] >= 3:
            print("checkpointed", flush=True)
        time.sleep(0.02)
    client.result()


def kill_and_resume(folder: Path) -> None:
    slow = subprocess.Popen([sys.executable, "-I", __file__, str(folder), "1000"], stdout=subprocess.PIPE, text=True)
    assert slow.stdout is not None
    assert slow.stdout.readline() == "checkpointed\n"
    slow.send_signal(signal.SIGKILL)
    slow.communicate()
    assert slow.returncode == -signal.SIGKILL
    subprocess.run([sys.executable, "-I", __file__, str(folder), "0"], check=True, stdout=subprocess.PIPE)
    parts = [path for path in (folder / "out").rglob("*") if path.is_file() and not path.name.startswith(".")]
    lines = sorted(line for part in parts for line in part.read_text().splitlines())
    assert lines == sorted(f"{n % KEYS} {n // KEYS + 1}" for n in range(RECORDS)), len(lines)


def bundled_libraries_in_use() -> set[str]:
    """Return names without version; each of them lies in this environment."""
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line}
    libraries = {Path(path).name.split("-")[0]: path for path in mapped}
    used = {name: path for name, path in libraries.items() if name.split(".")[0] in BUNDLED | BUNDLED_FOR_ROCKSDB}
    assert all(Path(path).is_relative_to(sys.prefix) for path in used.values()), used
    return set(used)


def main(folder: Path) -> None:
    import headrace
    from headrace import _core

    inside = Path(sys.prefix)
    assert Path(headrace.__file__).is_relative_to(inside), headrace.__file__
    hello_world()
    kill_and_resume(folder)
    assert bundled_libraries_in_use() == BUNDLED
    # The interpreter's ssl module may have mapped the system's as well.
    assert any("/headrace.libs/libcrypto-" in line for line in Path("/proc/self/maps").read_text().splitlines())
    statistics = _core.probe_rocksdb(str(folder / "rocksdb"), 8 << 20)
    assert statistics["bytes_written"] > 0, statistics
    assert bundled_libraries_in_use() == BUNDLED | BUNDLED_FOR_ROCKSDB
    print(
        f"headrace {headrace.__version__} on CPython {sys.version.split()[0]}: "
        "a first program, a job killed and resumed, RocksDB"
    )


if len(sys.argv) == 3:
    checkpointed_job(Path(sys.argv[1]), float(sys.argv[2]))
else:
    main(Path(sys.argv[1]))
