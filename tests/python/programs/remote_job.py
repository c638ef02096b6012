"""A job whose checkpoints go where the first line of its input says; reports each of them. `remote_job.py < life`

The life is JSON: `configuration`, `output`, `rows`, `rate`, optionally `parallelism`, `restarts`. Each row n gives the
line "<key> <n> <how many of the key came so far> <their sum>".
"""

import json
import sys
import time

from headrace import Configuration, KeyedProcessFunction, RestartStrategies, Types, ValueStateDescriptor
from headrace import StreamExecutionEnvironment as Environment
from python.streams import file_sink

KEYS = 7


class RunningSum(KeyedProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.sum = runtime_context.get_state(ValueStateDescriptor("sum", Types.LONG()))

    def process_element(self, value, ctx):
        count, total = (self.count.value() or 0) + 1, (self.sum.value() or 0) + value
        self.count.update(count)
        self.sum.update(total)
        yield f"{value % KEYS} {value} {count} {total}"


def expected_lines(rows):
    """A plain loop over the rows."""
    counts, sums, lines = [0] * KEYS, [0] * KEYS, []
    for value in range(rows):
        key = value % KEYS
        counts[key] += 1
        sums[key] += value
        lines.append(f"{key} {value} {counts[key]} {sums[key]}")
    return sorted(lines)


def say(*words):
    print(*(str(word).replace("\n", " ") for word in words), flush=True)


def main():
    life = json.loads(sys.stdin.readline())
    env = Environment.get_execution_environment(Configuration.from_dict(life["configuration"]))
    env.set_parallelism(life.get("parallelism", 1))
    env.set_restart_strategy(
        RestartStrategies.fixed_delay_restart(life["restarts"], 300)
        if "restarts" in life
        else RestartStrategies.no_restart()
    )
    rows = env.from_sequence(0, life["rows"] - 1, rows_per_second=life["rate"]).uid("rows")
    sums = rows.key_by(lambda n: n % KEYS, Types.LONG()).process(RunningSum(), Types.STRING()).uid("sums")
    sums.sink_to(file_sink(life["output"])).uid("files")
    try:
        client = env.execute_async("remote job")
        say("running")
        told = set()
        while True:
            ended = client.status().is_terminal_state()
            for checkpoint in client.checkpoints():
                if checkpoint["id"] not in told:
                    told.add(checkpoint["id"])
                    say("checkpoint" if checkpoint["completed"] else "failed", checkpoint["id"], checkpoint["failure"])
            if ended:
                break
            time.sleep(0.01)
        result = client.result()
    except Exception as error:
        say("error", type(error).__name__, error)
        sys.exit(3)
    for message in result.messages:
        say("message", message)
    say("finished", len(result.recoveries))


if __name__ == "__main__":
    main()
