"""A task thread is one thread to Python, from its first call to its end: threading.local lives as long as it does."""

import subprocess
import sys
import threading

from python.streams import new_env
from tidy.source_tree import ROOT

TWO_INTERPRETERS = ROOT / "tests/python/programs/two_interpreters.py"


made = []
released = []


class Kept:
    def __init__(self):
        self.made_on = threading.get_ident()
        made.append(self.made_on)

    def __del__(self):
        released.append((self.made_on, threading.get_ident()))


local = threading.local()


def keep(value):
    if not hasattr(local, "kept"):
        local.kept = Kept()
    return value


def test_what_a_function_keeps_for_its_thread_is_released_on_that_thread_before_the_job_ends():
    made.clear()
    released.clear()
    env = new_env(3)
    env.from_collection(range(5000)).rebalance().map(keep).add_sink(lambda _: None)
    env.execute()
    assert len(made) > 0
    assert sorted(released) == sorted((thread, thread) for thread in made)


def test_threads_take_the_lock_in_a_process_that_has_had_a_second_interpreter():
    for _ in range(3):
        ended = subprocess.run(
            [sys.executable, TWO_INTERPRETERS], capture_output=True, text=True, timeout=60, check=False
        )
        assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr
