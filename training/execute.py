"""Carry out one run in this process, from its first heartbeat to its last state."""

import errno
import logging
import os
import platform
import shutil
import signal
import subprocess
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from types import FrameType

from django.conf import settings
from django.db import OperationalError

from catalog.errors import CatalogError
from ranking.errors import RankingFault
from training.cost import PEAK_MEMORY, peak_memory, size_of
from training.errors import RunCancelled, RunInterrupted, StaleLease, TrainingFault
from training.handle import EXIT_INTERRUPTED, RunHandle
from training.leases import Lease, fenced, finish, release
from training.models import RunState, TrainingRun

logger = logging.getLogger(__name__)

Work = Callable[[RunHandle], None]
Kinds = Mapping[str, Work]  # kind of run → what carries it out

EXIT_DONE, EXIT_FAILED, EXIT_STALE = 0, 1, 3
TOLD = (TrainingFault, RankingFault, CatalogError)  # their message is meant for people
LIBRARIES = ("torch", "transformers", "xgboost-cpu", "xgboost", "numpy", "Django")


def execute(lease: Lease, load_kinds: Callable[[], Kinds]) -> int:
    """Carry out the run that this lease holds.

    Parameters
    ----------
    lease
        As claimed by the watcher that started this process.
    load_kinds
        Imports the training code. It is called with the heart already beating, because importing
        torch on a busy machine can take longer than a lease.

    Returns
    -------
    int
        The exit code of the process.
    """
    run = TrainingRun.objects.select_related("catalog").get(pk=lease.run_id)
    handle = RunHandle(run, lease)
    _stop_on_signal(handle)
    try:
        with handle:
            _record_origin(handle)
            _work(handle, load_kinds)
    except StaleLease as stop:
        logger.warning("%s This process stops without a trace.", stop)
        return EXIT_STALE
    except RunInterrupted:
        release(lease, counts=False)
        return EXIT_INTERRUPTED
    except RunCancelled:
        finish(lease, RunState.CANCELLED)
        return EXIT_FAILED
    except (*TOLD, OSError, OperationalError) as fault:
        return _give_up(run, lease, fault)
    except Exception as fault:
        logger.exception("Run %s failed.", run.pk)
        finish(lease, RunState.FAILED, _sentence(fault))
        return EXIT_FAILED
    finish(lease, RunState.SUCCEEDED)
    shutil.rmtree(handle.folder, ignore_errors=True)
    return EXIT_DONE


def _work(handle: RunHandle, load_kinds: Callable[[], Kinds]) -> None:
    """The run itself; what goes wrong stands in the log before it leaves."""
    attempt = handle.run.attempts
    resumed = handle.run.resumed_from is not None
    handle.log(f"Attempt {attempt}: resumed." if resumed else "Started.")
    try:
        work = load_kinds().get(handle.run.kind)
        if work is None:
            raise TrainingFault(f"This version knows no runs of kind {handle.run.kind!r}.")
        handle.check()
        work(handle)
        handle.record(**{PEAK_MEMORY: f"{peak_memory() / 1024**2:.0f}"})
    except Exception as fault:
        if isinstance(fault, TOLD):
            handle.log(str(fault))
        elif not isinstance(fault, RunCancelled | RunInterrupted | StaleLease):
            for line in traceback.format_exc().splitlines():
                handle.log(line)
        raise
    handle.stage("done", 1.0)
    handle.log("Done.")


def _give_up(run: TrainingRun, lease: Lease, fault: Exception) -> int:
    """Queue the run again if that may help, or fail it with one sentence."""
    passing = isinstance(fault, OperationalError) or getattr(fault, "retryable", False)
    if passing and run.attempts < settings.RUN_MAX_ATTEMPTS:
        release(lease, counts=True)
        return EXIT_INTERRUPTED
    finish(lease, RunState.FAILED, _sentence(fault))
    return EXIT_FAILED


def _sentence(fault: Exception) -> str:
    """One readable sentence for the run's page."""
    if isinstance(fault, TOLD):
        return str(fault)
    if isinstance(fault, OSError) and fault.errno == errno.ENOSPC:
        return f"The disk is full; free some space under {settings.VAR_DIR} and retry."
    first = str(fault).strip().splitlines()
    told = f": {first[0]}" if first else ""
    return f"{type(fault).__name__}{told} (the log has the details)."


def _stop_on_signal(handle: RunHandle) -> None:
    """SIGTERM: stop at the next check and resume later. Ctrl-C is the watcher's business."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        handle.interrupt()

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _record_origin(handle: RunHandle) -> None:
    """Write down what is needed to repeat the run: code, machine, libraries."""
    with fenced(handle.lease) as run:
        run.code_version = code_version()
        # what an earlier attempt has recorded stays
        run.environment |= environment() | size_of(handle.catalog).facts()
        run.save(update_fields=["code_version", "environment"])


def code_version() -> str:
    """The git revision, with '+' if files differ from it; the package's version without git."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"],
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        return described.stdout.strip()[:40]
    except (OSError, subprocess.SubprocessError):
        return _library_version("recsite") or "unknown"


def environment() -> dict[str, str]:
    """The machine and the libraries, by name. Reads metadata only: torch is not imported."""
    found = {name: _library_version(name) for name in LIBRARIES}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "host": platform.node(),
        "cpus": str(os.cpu_count()),
        "device setting": settings.DEVICE,
    } | {name: number for name, number in found.items() if number}


def _library_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
