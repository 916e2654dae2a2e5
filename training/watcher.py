"""Start the process of a run, watch it, and see to it that it ends.

A run has a process group of its own, so that it can be killed whole; torch is never imported here.
The watcher decides nothing about the run but this: a process that died without a word is reported,
and one that does not stop when asked is killed.
"""

import logging
import os
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import connection

from training.errors import StaleLease
from training.leases import Lease, claim, fenced, finish, release
from training.models import RunLogLine, RunState, TrainingRun
from training.runs import run_folder

logger = logging.getLogger(__name__)

GLANCE = 0.5  # seconds between two looks at the process and its row
OUTPUT = "process.log"  # what the process printed, in the run's folder
STOPPING = threading.Event()  # set when this worker shuts down; every watcher lets go then


def owner_name() -> str:
    """Who claims: this machine and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def claim_and_watch(run_id: uuid.UUID) -> bool:
    """Carry a run to its end, if it is free; False if there was nothing to do."""
    lease = claim(run_id, owner_name())
    if lease is None:
        return False
    watch(lease)
    return True


def watch(lease: Lease, on_glance: Callable[[], None] | None = None) -> None:
    """Start the process of a claimed run and stay until it has ended.

    Parameters
    ----------
    lease
        The claim; the process works under it.
    on_glance
        Called twice a second: the command line prints progress there.
    """
    with (run_folder(lease.run_id) / OUTPUT).open("ab") as output:
        process = subprocess.Popen(
            [*settings.RUN_COMMAND, str(lease.run_id), str(lease.token)],
            cwd=settings.BASE_DIR,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _stay(process, lease, on_glance)
    finally:
        _kill_group(process)
        connection.close()
    _report(lease, process.returncode)


def _stay(
    process: subprocess.Popen[bytes], lease: Lease, on_glance: Callable[[], None] | None
) -> None:
    """Wait for the end of the process; hurry it when the run must stop."""
    asked_at: float | None = None  # monotonic seconds
    while process.poll() is None:
        STOPPING.wait(GLANCE) if asked_at is None else time.sleep(GLANCE)
        if on_glance:
            on_glance()
        if not _is_ours(lease):
            return  # it lost its lease: the caller kills it
        if STOPPING.is_set() and asked_at is None:
            process.terminate()
        if asked_at is None and (STOPPING.is_set() or _is_cancelled(lease)):
            asked_at = time.monotonic()
        if asked_at and time.monotonic() - asked_at > settings.RUN_CANCEL_GRACE_SECONDS:
            return


def _is_ours(lease: Lease) -> bool:
    """Whether the row still knows this lease. When the database is away, the answer is yes."""
    try:
        return TrainingRun.objects.filter(pk=lease.run_id, fencing_token=lease.token).exists()
    except DatabaseFault as fault:
        logger.warning("The database is away (%s); run %s goes on.", fault, lease.run_id)
        connection.close()
        return True


def _is_cancelled(lease: Lease) -> bool:
    try:
        return TrainingRun.objects.filter(pk=lease.run_id, cancel_requested=True).exists()
    except DatabaseFault:
        connection.close()
        return False


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and everything that it started, and wait for it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        logger.debug("Nothing is left of process group %s.", process.pid)
    process.wait()


def _report(lease: Lease, returncode: int) -> None:
    """Settle the row of a process that ended without settling it itself."""
    try:
        with fenced(lease) as run:
            cancelled, attempt = run.cancel_requested, run.attempts
            if not cancelled:
                RunLogLine.objects.create(run=run, text=_obituary(returncode, attempt))
        if cancelled:
            finish(lease, RunState.CANCELLED)
        elif STOPPING.is_set():
            release(lease, counts=False)
        elif returncode < 0 and attempt < settings.RUN_MAX_ATTEMPTS:
            release(lease, counts=True)  # killed from outside: it resumes from its checkpoint
        else:
            finish(lease, RunState.FAILED, _last_words(lease, returncode))
    except StaleLease:
        return  # it settled its row, as it should


def _obituary(returncode: int, attempt: int) -> str:
    if returncode < 0:
        return f"Attempt {attempt}: the process was killed by {signal.Signals(-returncode).name}."
    return f"Attempt {attempt}: the process ended with exit code {returncode}."


def _last_words(lease: Lease, returncode: int) -> str:
    """The run's error: how its process ended, and the last line that it printed."""
    path: Path = run_folder(lease.run_id) / OUTPUT
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    if returncode < 0:
        return (
            f"Its process was killed {settings.RUN_MAX_ATTEMPTS} times, the last time by "
            f"{signal.Signals(-returncode).name}; is there enough memory?"
        )
    told = f": {lines[-1][:500]}" if lines else ""
    return f"Its process ended with exit code {returncode}{told}"
