"""Credentials stand in no message, plan, repr, log or file: canaries are planted everywhere and looked for everywhere."""

import json
import logging
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from headrace import Configuration, StreamExecutionEnvironment
from headrace.checkpoint_storage.checkpoint_transport import CheckpointTransport
from headrace.checkpoint_storage.opening import open_storage
from headrace.common.sensitive_keys import Secrets, is_sensitive, shown_value
from python.streams import file_sink

CANARY = "CaNaRy0123"
OPTIONS = {
    "s3.access-key": f"{CANARY}a",
    "s3.secret-key": f"{CANARY}b+/=",
    "s3.session-token": f"{CANARY}c",
    "azure.account-name": "account",
    "azure.account-key": "Q2FOYVJ5MDEyMw==",
    "azure.sas-token": f"sig={CANARY}d",
    "fs.azure.account.key.account.blob.core.windows.net": f"{CANARY}e",
    "fsspec.webhdfs.token": f"{CANARY}f",
    "fsspec.webhdfs.password": f"{CANARY}g",
    "flink.hadoop.fs.s3a.secret.key": f"{CANARY}h",
    "security.ssl.password": f"{CANARY}i",
    "s3.endpoint": "http://127.0.0.1:1",
    "azure.endpoint": "http://127.0.0.1:1/account",
    "gs.endpoint": "http://127.0.0.1:1",
    "gs.auth.type": "none",
}
WORDS = (CANARY, "Q2FOYVJ5MDEyMw")
URIS = [
    f"s3://{CANARY}user:{CANARY}word@bucket/path",
    "s3a://bucket/path",
    "az://container/path",
    f"abfss://container@account.dfs.core.windows.net/path?sig={CANARY}",
    "gs://bucket/path",
    f"hdfs://{CANARY}@localhost:1/path",
    f"webhdfs://{CANARY}:{CANARY}@localhost:1/path",
    f"ftp://user:{CANARY}@localhost:1/path",
    f"nosuch://{CANARY}@host/path",
]


def all_text_of(error):
    """The message and everything that a traceback shows, causes included."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(error.__cause__) + str(error.__context__)


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.DEBUG)
    return caplog


def environment(uri, **more):
    options = {"execution.checkpointing.interval": "50 ms", "execution.checkpointing.dir": uri, **OPTIONS, **more}
    return StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(options))


@pytest.mark.parametrize("uri", URIS)
@pytest.mark.parametrize("what", ["checkpoints", "restore", "text", "copy"])
def test_no_error_of_a_storage_shows_a_credential(uri, what, tmp_path, log, capfd, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{CANARY}env")
    monkeypatch.setattr("headrace.checkpoint_storage.checkpoint_transport._DELAYS_S", ())
    paths = {"restore": {"execution.state-recovery.path": uri}}.get(what, {})
    env = environment(uri if what == "checkpoints" else str(tmp_path / "chk"), **paths)

    def run():
        if what == "copy":
            import headrace.checkpoint_storage as storage

            storage.copy(uri, tmp_path / "copy", configuration=Configuration.from_dict(OPTIONS))
        elif what == "text":
            env.read_text_file(uri).sink_to(file_sink(tmp_path / "out"))
        else:
            env.from_sequence(0, 9).sink_to(file_sink(tmp_path / "out"))
            env.execute("canary")

    with pytest.raises(Exception) as caught:  # noqa: PT011 - of any kind; what counts is its text
        run()
    shown = all_text_of(caught.value) + log.text + "".join(capfd.readouterr())
    for word in WORDS:
        assert word not in shown


def test_neither_plan_nor_repr_shows_a_credential(tmp_path):
    source = f"local://{tmp_path}/in.txt"
    (tmp_path / "in.txt").write_text("line\n")
    env = environment(f"s3://{CANARY}:{CANARY}@bucket/path")
    env.read_text_file(source).sink_to(file_sink(tmp_path / "out"))
    configuration = Configuration.from_dict({**OPTIONS, "dir": URIS[0], "path": URIS[3]})
    transport = CheckpointTransport(open_storage(URIS[0], configuration))
    shown = [
        env.explain(), env.get_execution_plan(), repr(configuration), str(configuration), repr(transport),
        repr(transport._storage), repr(transport._storage.secrets), repr(transport._storage._store),
    ]  # fmt: skip
    assert not [text for text in shown if any(word in text for word in WORDS)]
    assert "s3.endpoint=http://127.0.0.1:1" in repr(configuration)
    assert "s3.secret-key=******" in repr(configuration)


def test_an_option_of_a_wrong_type_is_not_quoted_when_it_is_secret():
    configuration = Configuration.from_dict({"s3.secret-key": CANARY, "rest.port": "no number"})
    for get in (configuration.get_integer, configuration.get_boolean, configuration.get_float):
        with pytest.raises(ValueError, match=r"s3\.secret-key") as caught:
            get("s3.secret-key")
        assert CANARY not in all_text_of(caught.value)
    with pytest.raises(ValueError, match="no number"):
        configuration.get_integer("rest.port")


def test_no_checkpoint_holds_a_credential(tmp_path):
    program = (
        "import sys, json; sys.path.insert(0, sys.argv[1])\n"
        "from headrace import Configuration, StreamExecutionEnvironment as E\n"
        "from python.streams import file_sink\n"
        "o = json.loads(sys.argv[2])\n"
        "env = E.get_execution_environment(Configuration.from_dict(o))\n"
        "env.read_text_file(sys.argv[3]).key_by(lambda t: t).reduce(lambda a, b: a).sink_to(file_sink(sys.argv[4]))\n"
        "print(env.execute('canary').messages)\n"
    )
    (tmp_path / "in.txt").write_text("a\nb\n" * 100)
    (tmp_path / "remote").mkdir()
    options = {"execution.checkpointing.interval": "10 ms", "execution.checkpointing.dir": f"local://{tmp_path}/remote"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parents[1]), json.dumps({**OPTIONS, **options}),
         f"local://{tmp_path}/in.txt", str(tmp_path / "out")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix == ".manifest"]
    for word in WORDS:
        assert word not in done.stdout + done.stderr
        assert not [path for path in files if word.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("key", "sensitive"),
    [
        ("s3.secret-key", True), ("s3.access.key", True), ("fs.azure.account.key.a.blob.core.windows.net", True),
        ("my.Password", True), ("some.api-key", True), ("azure.sas-token", True), ("s3.endpoint", False),
        ("execution.checkpointing.dir", False), ("state.backend.type", False),
    ],
)  # fmt: skip
def test_which_options_are_secret(key, sensitive):
    assert is_sensitive(key) == sensitive
    assert shown_value(key, CANARY) == ("******" if sensitive else CANARY)


def test_secrets_are_replaced_also_where_they_are_quoted():
    secrets = Secrets(["long+secret/word", "abc"])
    assert secrets.clean("x long+secret/word y long%2Bsecret%2Fword z abc") == "x ****** y ****** z abc"
    assert repr(secrets) == "Secrets(2)"
    with pytest.raises(TypeError, match="not pickled"):
        secrets.__reduce__()
