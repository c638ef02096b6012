"""A real HDFS: a NameNode and a DataNode, from Maven's shaded jars."""

import json
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from services.server_process import ServerProcess, answer, free_ports

_POM = Path(__file__).with_name("hdfs-pom.xml")
_CACHE = Path(__file__).parents[2] / "build" / "services"
_NAME_NODE = "org.apache.hadoop.hdfs.server.namenode.NameNode"
_DATA_NODE = "org.apache.hadoop.hdfs.server.datanode.DataNode"


def _class_path():
    """Jars in Maven's own repository; asked for again when the pom changes."""
    wanted = _POM.read_text()
    path, stamp = _CACHE / "hdfs.classpath", _CACHE / "hdfs.pom"
    if not path.exists() or not stamp.exists() or stamp.read_text() != wanted:
        _CACHE.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mvn", "-q", "-B", "-f", str(_POM), "dependency:build-classpath", f"-Dmdep.outputFile={path}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"maven failed:\n{done.stdout}\n{done.stderr}"
        stamp.write_text(wanted)
    return path.read_text().strip()


class HdfsCluster:
    """Starts with construction; a context manager. Loopback only, its data in a temporary directory."""

    def __init__(self):
        self._data = tempfile.TemporaryDirectory(prefix="headrace-hdfs-")
        root = Path(self._data.name)
        # The DataNode keeps its ports: for a while the NameNode sends clients to where it was.
        port, self._http_port, data_port, self._data_http_port, data_ipc_port = free_ports(5)
        self.uri = f"hdfs://localhost:{port}"
        (root / "conf").mkdir()
        self._write(root / "conf" / "core-site.xml", {"fs.defaultFS": self.uri, "hadoop.tmp.dir": root / "tmp"})
        self._write(root / "conf" / "hdfs-site.xml", {
            "dfs.replication": 1,
            "dfs.namenode.name.dir": f"file://{root}/name",
            "dfs.datanode.data.dir": f"file://{root}/data",
            "dfs.namenode.rpc-address": f"localhost:{port}",
            "dfs.namenode.rpc-bind-host": "127.0.0.1",
            "dfs.namenode.http-address": f"localhost:{self._http_port}",
            "dfs.namenode.http-bind-host": "127.0.0.1",
            "dfs.namenode.handler.count": 4,
            "dfs.namenode.safemode.extension": 0,
            "dfs.namenode.heartbeat.recheck-interval": 5000,
            "dfs.heartbeat.interval": 1,
            "dfs.datanode.address": f"127.0.0.1:{data_port}",
            "dfs.datanode.http.address": f"127.0.0.1:{self._data_http_port}",
            "dfs.datanode.ipc.address": f"127.0.0.1:{data_ipc_port}",
            "dfs.datanode.hostname": "localhost",
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
        })  # fmt: skip
        java = [
            "java", "-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Djava.net.preferIPv4Stack=true", f"-Dhadoop.home.dir={root}", f"-Dhadoop.log.dir={root}",
            "-Dorg.slf4j.simpleLogger.logFile=System.out", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "--add-opens", "java.base/java.lang=ALL-UNNAMED", "--add-opens", "java.base/java.nio=ALL-UNNAMED",
            "-cp", f"{root}/conf:{_class_path()}",
        ]  # fmt: skip
        done = subprocess.run(
            [*java, _NAME_NODE, "-format", "-nonInteractive"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"formatting failed:\n{done.stdout}\n{done.stderr}"
        self._name_node = ServerProcess("the NameNode", [*java, _NAME_NODE], root / "namenode.log")
        self._data_node = ServerProcess("the DataNode", [*java, _DATA_NODE], root / "datanode.log")
        try:
            self._name_node.start()
            self.start_data_node()
        except BaseException:
            self.stop()
            raise

    @staticmethod
    def _write(path, properties):
        lines = [f"<property><name>{k}</name><value>{v}</value></property>" for k, v in properties.items()]
        path.write_text("<configuration>\n" + "\n".join(lines) + "\n</configuration>\n")

    def start_data_node(self):
        self._data_node.start()
        self._data_node.wait_until(self._ready, "the NameNode knows it and safe mode is off")

    def start_name_node(self):
        self._name_node.start()
        self._name_node.wait_until(self._ready, "it knows a DataNode and safe mode is off")

    def _ready(self):
        beans = f"http://127.0.0.1:{self._http_port}/jmx?qry=Hadoop:service=NameNode,name="
        state, info = (answer(beans + name) or "" for name in ("FSNamesystemState", "NameNodeInfo"))
        data_node = answer(f"http://127.0.0.1:{self._data_http_port}/jmx?qry=Hadoop:service=DataNode,name=DataNodeInfo")
        registered = '\\"ActorState\\":\\"RUNNING\\"' in (data_node or "")
        return registered and '"NumLiveDataNodes" : 1,' in state and '"Safemode" : "",' in info

    def kill_data_node(self):
        """SIGKILL; its blocks stay."""
        self._data_node.kill()

    def kill_name_node(self):
        """SIGKILL; the names stay."""
        self._name_node.kill()

    def stop(self):
        self._data_node.kill()
        self._name_node.kill()
        self._data.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    # ---- a second client: the NameNode's web API ------------------------------------------------------------

    def listing(self, path):
        """Names and lengths of the files in a directory."""
        found = json.loads(answer(self._web(path, "LISTSTATUS")) or "{}")
        statuses = found.get("FileStatuses", {}).get("FileStatus", [])
        return {status["pathSuffix"]: status["length"] for status in statuses if status["type"] == "FILE"}

    def read(self, path):
        with urllib.request.urlopen(self._web(path, "OPEN"), timeout=30) as response:
            return response.read()

    def write(self, path, content):
        """Replaces a file."""
        with self._put(self._web(path, "CREATE") + "&overwrite=true&noredirect=true") as response:
            target = json.loads(response.read())["Location"]
        self._put(target, content).close()

    def _put(self, url, content=b""):
        headers = {"Content-Type": "application/octet-stream"}
        return urllib.request.urlopen(
            urllib.request.Request(url, data=content, method="PUT", headers=headers), timeout=30
        )

    def _web(self, path, operation):
        return f"http://127.0.0.1:{self._http_port}/webhdfs/v1{path}?op={operation}&user.name=root"
