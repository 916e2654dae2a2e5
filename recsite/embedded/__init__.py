"""PostgreSQL and a broker from wheels, for a site that was given no URL of its own.

Every process that uses the two services holds a shared lock on ``var/embedded.lock``; the kernel
lets go of it when the process ends, however it ends. Starting and stopping happen under an
exclusive lock on ``var/embedded-start.lock``. The last process out stops both services; after a
``kill -9`` they live on, and the next start uses them again, or mends what is left of them.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from recsite.embedded import broker, postgres
from recsite.embedded.home import (
    EmbeddedError,
    Home,
    make_var,
    open_home,
    read_home,
    told_in_one_line,
)

__all__ = ["EmbeddedError", "Services", "ensure", "stop_if_last"]

LOCK_TIMEOUT = 120.0  # seconds; a first start takes about 3, a recovery after a crash more

_in_use: dict[Path, IO[bytes]] = {}  # var → the file whose shared lock says that we use it


@dataclass(frozen=True)
class Services:
    """Where the embedded services answer, and where they keep what they know."""

    database_url: str  # postgres://…, a socket directory in the place of the host
    broker_url: str  # redis+socket://…
    data_dir: Path  # of PostgreSQL; outside var when `nobody` cannot reach var
    log_dir: Path
    pg_bin_dir: Path  # psql, pg_dump and pg_restore of the same version


def ensure(var: Path) -> Services:
    """Start what is not running under ``var``, and keep it running while this process lives.

    May be called again, and by any number of processes at once.

    Raises
    ------
    EmbeddedError
        When a service cannot be started; the message says why and what to do.
    """
    var = make_var(var)
    _hold(var)  # from here on nobody stops them; waits where somebody is just doing that
    try:
        home = read_home(var)
        if home is None or not (postgres.answers(home) and broker.answers(home)):
            home = _start(var)
    except BaseException:
        _let_go(var)
        raise
    return Services(
        database_url=postgres.url(home),
        broker_url=broker.url(home),
        data_dir=home.postgres_dir,
        log_dir=home.log_dir,
        pg_bin_dir=postgres.bin_dir(home),
    )


def stop_if_last(var: Path) -> bool:
    """Give the services up, and stop both if nobody else uses them.

    Returns
    -------
    bool
        Whether they were stopped.
    """
    var = var.resolve()
    lock = _in_use.get(var)
    if lock is None:
        return False
    with _start_lock(var):
        last = _try_exclusive(lock)
        if last:
            home = open_home(var)
            broker.stop(home)
            postgres.stop(home)
        _let_go(var)
    return last


def _start(var: Path) -> Home:
    with _start_lock(var), told_in_one_line(var):
        home = open_home(var)
        postgres.ensure(home)
        broker.ensure(home)
    return home


def _hold(var: Path) -> None:
    """Take the shared lock that says "in use", once for each process."""
    if var in _in_use:
        return
    lock = _open_lock(var / "embedded.lock")
    fcntl.flock(lock, fcntl.LOCK_SH)
    if not _in_use:
        atexit.register(_stop_at_exit, os.getpid())
    _in_use[var] = lock


def _let_go(var: Path) -> None:
    _in_use.pop(var).close()


def _open_lock(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")


def _try_exclusive(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stop_at_exit(owner: int) -> None:
    """Stop at the end of the process that started, not of a child that it forked."""
    if os.getpid() != owner:
        return
    for var in list(_in_use):
        stop_if_last(var)


@contextmanager
def _start_lock(var: Path) -> Iterator[None]:
    """Let one process at a time start or stop services."""
    with _open_lock(var / "embedded-start.lock") as lock:
        deadline = time.monotonic() + LOCK_TIMEOUT
        while not _try_exclusive(lock):
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"Another process has been starting the services in {var} for "
                    f"{LOCK_TIMEOUT:.0f} s. See {var}/log/postgres.log.",
                )
            time.sleep(0.02)
        yield
