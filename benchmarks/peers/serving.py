"""How a peer answers: one JSON object a line on standard input and output.

The peer stays alive between the rounds, so that its start and the making of its input are outside every
clock, and sleeps in `readline` while another engine runs.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import workloads

Job = Callable[[list, bool], Any]
"""Runs over the input. With `collect` it returns all results as (key, count), else how many there were."""


def serve(jobs: dict[str, Job]) -> None:
    """Answer {"load": kind, "size": n} and {"run": job, "check": bool} until the input ends."""
    # What the engine itself prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    data: list = []
    for line in sys.stdin:
        request = json.loads(line)
        if "load" in request:
            data = getattr(workloads, request["load"])(request["size"])
            gc.collect()
            gc.freeze()
            answer = {"items": len(data)}
        else:
            start = time.perf_counter()
            results = jobs[request["run"]](data, request["check"])
            seconds = time.perf_counter() - start
            answer = {"seconds": seconds, "results": results}
            if request["check"]:
                counts = workloads.largest_counts(results)
                answer = {"results": len(results), "digest": workloads.digest(counts)}
                answer["running"] = sum(count for _, count in results)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
