"""Our servers as processes: how they are started, found again and ended."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from recsite.embedded.home import EmbeddedError, Home, Owner

ENVIRONMENT: Mapping[str, str] = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}

_started: list[subprocess.Popen[bytes]] = []  # kept, so that a server that ends is not a zombie


def start(
    command: Sequence[str], *, cwd: Path, log: int, owner: Owner | None
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that a Ctrl-C meant for us does not reach it."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=cwd,
        start_new_session=True,
        umask=0o077,
        env=ENVIRONMENT,
        user=owner.uid if owner else None,
        group=owner.gid if owner else None,
        extra_groups=[] if owner else None,
    )
    _started.append(process)
    return process


def tagged(home: Home, program: str) -> list[psutil.Process]:
    """Find the running processes of one of our servers.

    A pid file is not asked: its number may be another process's by now. Each server carries the
    tag of its ``var`` in its command line, which every account may read.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() == program and home.tag in " ".join(process.cmdline()):
                found.append(process)
    return found


def end(processes: Sequence[psutil.Process], how: signal.Signals, timeout: float) -> None:
    """Signal processes and wait until they are gone; kill what is left after ``timeout`` s."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(how)
    _, alive = psutil.wait_procs(processes, timeout=timeout)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    for child in _started:
        child.poll()


def wait_until(
    answers: Callable[[], bool],
    dead: Callable[[], bool],
    *,
    timeout: float,
    name: str,
    home: Home,
    log: str,
) -> None:
    """Wait until a server answers a connection.

    Raises
    ------
    EmbeddedError
        When it died, or does not answer within ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while not answers():
        if dead():
            raise EmbeddedError(f"{name} does not start: {home.last_line(log)}")
        if time.monotonic() > deadline:
            raise EmbeddedError(f"{name} does not answer: {home.last_line(log)}")
        time.sleep(0.02)
