"""`plastinka web` or `plastinka serve` on a port of its own with a fresh data folder."""
import json
import os
import shutil
import subprocess
import tempfile

from http_support import PLASTINKA, Server


class Web(Server):
    """args: further flags; env: further environment; data: a folder that is kept. The first admin key is `key`."""

    def __init__(self, *args, command="web", env=None, data=None):
        self.own = None if data else tempfile.mkdtemp(prefix="plastinka-test-")
        self.data = data or self.own
        self.log = tempfile.NamedTemporaryFile(mode="w+", suffix=".log")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("API_", "PLASTINKA_"))}
        self.proc = subprocess.Popen(
            [PLASTINKA, command, "--host", "127.0.0.1", "--port", "0", "--data", self.data, *args],
            stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=self.data, env={**clean, **(env or {})})
        self.key = None
        for line in self.proc.stdout:
            words = line.split()
            if "admin" in words and words[-1].startswith("plk_"):
                self.key = words[-1]
            if words[:1] == ["listening"]:
                self.host, port = words[1].rsplit(":", 1)
                self.port = int(port)
                return
        raise AssertionError("the server did not start: " + self.read_log())

    def call(self, target, method="GET", key=True, value=None, headers=()):
        """One request; value goes as JSON. key: True for the admin key, or a key, or None."""
        headers = list(headers)
        if key:
            headers.append(("X-API-Key", self.key if key is True else key))
        body = b""
        if value is not None:
            body = json.dumps(value).encode()
            headers.append(("Content-Type", "application/json"))
        return self.ask(target, method, headers, body)

    def __exit__(self, *args):
        try:
            super().__exit__(*args)
        finally:
            self.proc.stdout.close()
            if self.own:
                shutil.rmtree(self.own, ignore_errors=True)
