"""A real Redis for tests: on a free port, in a folder of its own, that can be killed and restarted.

What it has said yes to survives a kill: it appends each write to a file before it answers.
"""

from __future__ import annotations

import atexit
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

__all__ = ["RedisServer", "require_redis"]

START_S = 15.0


def require_redis() -> None:
    """Skip the test where the binary is absent (`.ci/run` installs it where it can)."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed; on Debian: apt-get install redis-server")


class RedisServer:
    """One `redis-server` on the loopback interface, and on a Unix socket.

    Args:
        folder: Where it keeps its data; new.
        password: What clients must say, or "".

    Attributes:
        port: Its TCP port, the same over restarts.
        socket_path: Its Unix socket.
    """

    def __init__(self, folder: Path, password: str = "") -> None:
        self.folder = folder
        self.port = _free_port()
        self.socket_path = folder / "redis.sock"
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, prefix: str = "", database: int = 0) -> str:
        """Return the address of a database, and of one registry in it where a prefix is given."""
        login = f":{self._password}@" if self._password else ""
        query = f"?prefix={prefix}" if prefix else ""
        return f"redis://{login}127.0.0.1:{self.port}/{database}{query}"

    def start(self) -> None:
        """Start it, with the data that is there, and wait until it answers."""
        assert self._process is None, "it runs already"
        command = [
            "redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir",
            str(self.folder), "--unixsocket", str(self.socket_path), "--appendonly", "yes",
            "--appendfsync", "always", "--save", "", "--daemonize", "no",
            "--logfile", str(self.folder / "redis.log"),
        ]  # fmt: skip
        if self._password:
            command += ["--requirepass", self._password]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        # Also where a test run breaks off before the fixture's own end.
        atexit.register(self.stop)
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "redis.log").read_text()
            assert time.monotonic() < deadline, "redis-server did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a power cut would, by SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order; safe to call when it does not run."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill it where it runs, and start it on the same port and data."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop it from answering, while its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def command(self, *words: str | bytes) -> bytes:
        """Send one command over a connection of its own, and return the raw first reply bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            if self._password:
                connection.sendall(_encoded("AUTH", self._password))
                connection.recv(64)
            connection.sendall(_encoded(*words))
            return connection.recv(2**16)

    def _answers(self) -> bool:
        try:
            return self.command("PING").startswith(b"+PONG")
        except OSError:
            return False

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        atexit.unregister(self.stop)
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
            process.wait(timeout=10)


def _encoded(*words: str | bytes) -> bytes:
    parts = [word.encode() if isinstance(word, str) else word for word in words]
    bulk = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    return b"*%d\r\n%s" % (len(parts), bulk)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
