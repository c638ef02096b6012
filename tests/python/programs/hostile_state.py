"""Run by test_hostile_state.py: a job whose state holds pickles that run code, and the job that resumes from it.

python -m python.programs.hostile_state write <directory>    leaves a checkpoint in the middle of the job
python -m python.programs.hostile_state resume <directory>   goes on as a program that declared no pickles
python -m python.programs.hostile_state guarded <directory>  as resume, where pickle, _pickle and copyreg only raise
python -m python.programs.hostile_state read <directory>     reads, checks, compares and exports the checkpoint
"""

import _pickle
import copyreg
import json
import pickle
import sys
import time
from pathlib import Path

from python.pickle_payloads import payloads

MARKERS = "markers"
ROUNDS = 40
ROWS_PER_SECOND = 2000
PICKLE_NAMES = ("load", "loads", "dump", "dumps", "Pickler", "Unpickler", "_load", "_loads", "_dump", "_dumps")
COPYREG_NAMES = (
    "pickle", "constructor", "_reconstructor", "_reduce_ex", "__newobj__", "__newobj_ex__", "_slotnames",
    "add_extension", "remove_extension",
)  # fmt: skip

stub_calls: list[str] = []


class Raising:
    """In place of a function or class: remembers that it was called, and raises."""

    def __init__(self, name):
        self.name = name

    def __call__(self, *args, **kwargs):
        stub_calls.append(self.name)
        raise RuntimeError(f"{self.name} was called")


def replace(module, names):
    for name in names:
        if hasattr(module, name):
            setattr(module, name, Raising(f"{module.__name__}.{name}"))


class Raw:
    """Stands for a payload where the writing job pickles it."""

    def __init__(self, payload):
        self.payload = payload


def functions(directory, writes):
    from headrace import KeyedProcessFunction, ListStateDescriptor, MapStateDescriptor, Types, ValueStateDescriptor

    made = payloads(directory / MARKERS)

    class Hostile(KeyedProcessFunction):
        """Writes a payload to each state, or reads what is there and then writes plain values."""

        def open(self, runtime_context):
            pickled = [Types.PICKLED_BYTE_ARRAY()] if writes else []
            self.value = runtime_context.get_state(ValueStateDescriptor("value", *pickled))
            self.items = runtime_context.get_list_state(ListStateDescriptor("items", *pickled))
            # Any type of the values: without one a map has untyped keys and values.
            self.pairs = runtime_context.get_map_state(
                MapStateDescriptor("pairs", Types.STRING(), pickled[0] if writes else Types.OBJECT())
            )

        def process_element(self, value, ctx):
            if writes:
                self.value.update(Raw(made[value]))
                self.items.add(Raw(made[value]))
                self.pairs.put("k", Raw(made[value]))
                return
            for name, read in [
                ("value", self.value.value),
                ("items", lambda: list(self.items.get())),
                ("pairs", lambda: self.pairs.get("k")),
            ]:
                try:
                    found = read()
                except Exception as error:
                    yield json.dumps([value, name, "refused", f"{type(error).__name__}: {error}"])
                else:
                    yield json.dumps([value, name, "read", repr(found)])
            self.value.update({"plain": [value]})
            self.items.clear()
            self.items.add(value)
            self.pairs.put("k", (value,))

        def __deepcopy__(self, memo):
            # copy.deepcopy would ask copyreg how.
            return type(self)()

    return Hostile()


def job(directory, resume):
    from headrace import Configuration, StreamExecutionEnvironment
    from python.streams import file_sink

    options = {"execution.checkpointing.interval": "50 ms", "execution.checkpointing.dir": str(directory / "chk")}
    if resume:
        options["execution.state-recovery.path"] = "latest"
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(options))
    env.set_parallelism(1)
    count = len(payloads(directory))
    numbers = list(range(count)) * ROUNDS
    rows = env.from_collection(numbers, rows_per_second=0 if resume else ROWS_PER_SECOND).uid("numbers")
    hostile = rows.key_by(lambda n: n).process(functions(directory, writes=not resume)).uid("hostile")
    hostile.sink_to(file_sink(directory / "out")).uid("files")
    return env, count


def write(directory):
    real = pickle.dumps
    pickle.dumps = lambda value, *rest: value.payload if isinstance(value, Raw) else real(value, *rest)
    env, count = job(directory, resume=False)
    client = env.execute_async("hostile")
    while client.metrics().get("Collection.rows_read", 0) < count:
        assert not client.status().is_terminal_state()
        time.sleep(0.01)
    before = client.metrics()["job.checkpoints_completed"]
    # The next but one has begun after all rows of the first round.
    while client.metrics()["job.checkpoints_completed"] < before + 2:
        assert not client.status().is_terminal_state()
        time.sleep(0.01)
    client.cancel().result()


def resume(directory, guarded):
    events: list[str] = []
    if guarded:
        replace(pickle, PICKLE_NAMES)
        replace(_pickle, PICKLE_NAMES)
    env, _ = job(directory, resume=True)
    if guarded:
        replace(copyreg, COPYREG_NAMES)
    sys.addaudithook(lambda event, args: events.append(event) if event.startswith("pickle.") else None)
    result = env.execute("hostile")
    print(
        json.dumps({
            "messages": result.messages,
            "stub_calls": stub_calls,
            "events": events,
            "checkpoints": result.metrics["job.checkpoints_completed"],
        })
    )  # fmt: skip


def read(directory):
    """Prints what was read of each state, and which of the events happened that come before code is run."""
    from headrace import read_checkpoint

    events: list[str] = []
    watched = ("pickle.", "import", "exec", "compile", "os.", "subprocess.", "ctypes.")
    checkpoint = read_checkpoint(directory / "chk")
    checkpoint["numbers"].operator_state()  # pyarrow imports what it needs
    on = True
    sys.addaudithook(lambda event, args: events.append(event) if on and event.startswith(watched) else None)
    shown = {}
    for name, state in checkpoint["hostile"].states().items():
        table = state.to_arrow()
        shown[name] = [state.types["value"], str(table.schema.field("value").type), table.num_rows]
    checkpoint["hostile"].operator_state()
    on = False
    print(json.dumps({"shown": shown, "events": events}))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]))
    elif sys.argv[1] == "read":
        read(Path(sys.argv[2]))
    else:
        resume(Path(sys.argv[2]), guarded=sys.argv[1] == "guarded")
