"""Faults that the person at the terminal can mend, told in one line."""

import errno
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.db.utils import OperationalError

ADVICE = {
    errno.ENOSPC: "free some space and start again",
    errno.EACCES: "give this user the right to it, or choose another folder",
    errno.EROFS: "choose a folder that can be written (RECSITE_VAR)",
    errno.EADDRINUSE: "stop the other program, or choose another PORT",
}


class SetupFault(Exception):
    """Something outside the code is wrong; the message says what it is and what to do."""


@contextmanager
def one_line_faults() -> Iterator[None]:
    """Turn a fault that can be mended from outside into one line and exit status 1."""
    try:
        yield
    except SetupFault as fault:
        print(f"recsite: {fault}", file=sys.stderr)
        raise SystemExit(1) from None
    except OperationalError as fault:
        said = " ".join(str(fault).split()).rstrip(".")
        cure = "Start it, free its disk, or correct DATABASE_URL."
        print(f"recsite: the database fails: {said}. {cure}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except OSError as fault:
        if fault.errno not in ADVICE:
            raise
        place = f" ({fault.filename})" if fault.filename else ""
        print(f"recsite: {fault.strerror}{place}: {ADVICE[fault.errno]}", file=sys.stderr)
        raise SystemExit(1) from None
