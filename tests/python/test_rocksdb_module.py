"""RocksDB is a module of its own: loaded when it is asked for, with a clear error where it cannot be."""

import ctypes
import subprocess
import sys
import types

import pytest

from headrace import _core

MEMORY_BYTES = 8 << 20
MAPS = "maps = open('/proc/self/maps').read()\n"


def run(code: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_job_that_keeps_state_in_memory_does_not_load_rocksdb(tmp_path):
    job = (
        "import sys\n"
        "from headrace import Configuration, StreamExecutionEnvironment\n"
        "options = {'execution.checkpointing.interval': '10 ms', 'execution.checkpointing.dir': sys.argv[1]}\n"
        "env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(options))\n"
        "counts = env.from_collection(range(1000)).key_by(lambda n: n % 7).reduce(lambda a, b: a + b)\n"
        "rows = list(counts.execute_and_collect())\n" + MAPS + "print(len(rows), 'librocksdb' in maps)\n"
    )
    assert run(job, str(tmp_path)) == "1000 False"


def test_rocksdb_is_loaded_when_it_is_asked_for(tmp_path):
    probe = (
        "import sys\n"
        "from headrace import _core\n"
        f"statistics = _core.probe_rocksdb(sys.argv[1], {MEMORY_BYTES})\n" + MAPS + "print('librocksdb' in maps)\n"
    )
    assert run(probe, str(tmp_path / "state")) == "True"


def test_probe_writes_a_row_and_leaves_nothing_behind(tmp_path):
    statistics = _core.probe_rocksdb(str(tmp_path / "a/state"), MEMORY_BYTES)
    assert statistics["bytes_written"] > 0
    assert statistics["memtable_bytes"] > 0
    assert {"block_reads", "block_cache_hits", "block_cache_misses", "disk_bytes"} <= set(statistics)
    assert list((tmp_path / "a").iterdir()) == []


def test_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(_core.StorageError, match=str(tmp_path / "file")):
        _core.probe_rocksdb(str(tmp_path / "file/state"), MEMORY_BYTES)


def test_missing_library_is_an_import_error_that_says_what_to_install(tmp_path, monkeypatch):
    class WithoutLibrary:
        def find_spec(self, name, path=None, target=None):
            if name == "headrace._rocksdb":
                raise ImportError("librocksdb.so.7.8: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "headrace._rocksdb", raising=False)
    monkeypatch.setattr(sys, "meta_path", [WithoutLibrary(), *sys.meta_path])
    with pytest.raises(
        ImportError, match=r"librocksdb\.so\.7\.8: cannot open.*apt-get install librocksdb-dev"
    ) as caught:
        _core.probe_rocksdb(str(tmp_path / "state"), MEMORY_BYTES)
    assert isinstance(caught.value.__cause__, ImportError)


def test_module_of_another_build_is_refused(tmp_path, monkeypatch):
    of_another_build = (ctypes.c_uint64 * 2)(2**63, 0)
    make_capsule = ctypes.pythonapi.PyCapsule_New
    make_capsule.restype = ctypes.py_object
    make_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    name = ctypes.c_char_p(b"headrace.ColdStoreModule")
    capsule = make_capsule(ctypes.addressof(of_another_build), name, None)
    module = types.ModuleType("headrace._rocksdb")
    module.cold_store = lambda: capsule
    monkeypatch.setitem(sys.modules, "headrace._rocksdb", module)
    with pytest.raises(ImportError, match="another build"):
        _core.probe_rocksdb(str(tmp_path / "state"), MEMORY_BYTES)
