"""Child processes of the demo: started, watched, restarted once, stopped in order."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from recsite.faults import SetupFault

ROOT = Path(__file__).resolve().parent.parent
MARK = "RECSITE_DEMO"  # in the environment of every process of a demo: how we find them again
STEADY = 60.0  # seconds that a restarted child must live, or everything stops
STOP_TIMEOUT = 10.0  # seconds; a worker hands its task back within 3
LOG_MAX = 10_000_000  # bytes; a longer log is set aside at the next start
TAIL = 8_000  # bytes of a log in which its last telling line is looked for


@dataclass
class Child:
    """One child process. It leads a session of its own, so a Ctrl-C in the terminal spares it."""

    name: str
    command: Sequence[str]
    stop_signal: signal.Signals = signal.SIGTERM
    niceness: int = 0
    once: bool = False  # ends by itself, and that is well
    log: Path = field(default_factory=Path)
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0  # time.monotonic()
    restarts: int = 0

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it, its output appended to its log."""
        if self.log.exists() and self.log.stat().st_size > LOG_MAX:
            self.log.replace(self.log.with_suffix(".old"))
        with os.fdopen(
            os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab"
        ) as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=ROOT,
                start_new_session=True,
            )
        self.started_at = time.monotonic()
        if self.niceness:
            with contextlib.suppress(psutil.Error):
                psutil.Process(self.process.pid).nice(self.niceness)

    @property
    def ended(self) -> int | None:
        """The exit status, None while it runs or was never started."""
        return self.process.poll() if self.process else None

    @property
    def last_words(self) -> str:
        """The last line of its log: with a traceback, that is the error."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - TAIL))
            lines = log.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


class Children:
    """All of them; the first one, web, answers until the others have stopped."""

    def __init__(self, var: Path, environment: Mapping[str, str]) -> None:
        self.var = var
        self.environment = {**environment, MARK: str(var), "DEMO": "true", "PYTHONUNBUFFERED": "1"}
        self.running: list[Child] = []

    def start(self, child: Child) -> Child:
        """Start one more."""
        child.log = self.var / "log" / f"{child.name}.log"
        child.start(self.environment)
        self.running.append(child)
        return child

    def watch(self) -> list[str]:
        """Restart what died, and return a line for each.

        Raises
        ------
        SetupFault
            When one died again within a minute, or one that was to end well did not.
        """
        lines = []
        for child in list(self.running):
            status = child.ended
            if status is None:
                continue
            if child.once and status == 0:
                self.running.remove(child)
                continue
            told = f"{child.name} ended with status {status}: {child.last_words}"
            if child.once or (child.restarts and time.monotonic() - child.started_at < STEADY):
                raise SetupFault(f"{told} (more in {child.log})")
            child.restarts += 1
            child.start(self.environment)
            lines.append(f"{told}; started again")
        return lines

    def stop(self) -> None:
        """Stop all of them, the first one last, and whatever they leave behind."""
        _end(self.running[1:])
        _end(self.running[:1])
        self.running.clear()
        end_leftovers(self.var)


def _end(children: Sequence[Child]) -> None:
    """Ask all of them to end, and kill those that do not within the time."""
    alive = [child.process for child in children if child.process and child.ended is None]
    for child in children:
        if child.process in alive:
            child.process.send_signal(child.stop_signal)
    deadline = time.monotonic() + STOP_TIMEOUT
    for process in alive:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def end_leftovers(var: Path) -> int:
    """End what an earlier demo on this ``var`` left behind, killed as it was; return how many."""
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(var):
                left.append(process)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(left, timeout=5)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    return len(left)


def python(*arguments: str) -> list[str]:
    """Return a command of this Python."""
    return [sys.executable, *arguments]
