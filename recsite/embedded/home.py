"""The directory in which the embedded services live: secrets, sockets, logs, and who owns them."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recsite.faults import SetupFault

SOCKET_PATH_MAX = 103  # bytes: 107 on Linux, 103 on macOS
LONGEST_SOCKET = "/pg/.s.PGSQL.5432.lock"
STATE_FILE = "embedded.json"
STATE = frozenset({"tag", "admin_password", "password", "postgres_dir", "run_dir"})
LOG_MAX = 10_000_000  # bytes; a longer log is set aside at the next start


class EmbeddedError(SetupFault):
    """An embedded service cannot be started or stopped."""


@dataclass(frozen=True)
class Owner:
    """The account that PostgreSQL runs as; it refuses to run as root."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Home:
    """What is known about one ``var`` directory. Kept in its ``embedded.json``."""

    var: Path
    tag: str  # stands in the command line of each of our servers: how we find them again
    admin_password: str  # of the PostgreSQL superuser
    password: str  # of the role that the site uses
    postgres_dir: Path  # data, and as root a copy of the binaries
    run_dir: Path  # sockets
    owner: Owner | None  # None: ourselves

    @property
    def log_dir(self) -> Path:
        return self.var / "log"

    @property
    def postgres_socket_dir(self) -> Path:
        return self.run_dir / "pg"

    @property
    def broker_socket(self) -> Path:
        return self.run_dir / "broker.sock"

    def open_log(self, name: str) -> int:
        """Return a file descriptor that appends to a log, after setting a long one aside."""
        path = self.log_dir / name
        if path.exists() and path.stat().st_size > LOG_MAX:
            path.replace(path.with_suffix(".old"))
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def last_line(self, name: str) -> str:
        """Return the line of a log that says why a server died, or where to look."""
        path = self.log_dir / name
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return f"{telling(lines[-30:])} (more in {path})"


def telling(lines: list[str]) -> str:
    """Return the line of a server's output that says what went wrong."""
    signs = ("PANIC", "FATAL", "error:", "could not")
    found = next((line for sign in signs for line in lines if sign in line), None)
    return (found or (lines or ["it said nothing"])[-1]).strip()


def make_var(var: Path) -> Path:
    """Make the directory if it is missing, and return its real path.

    Raises
    ------
    EmbeddedError
        When it cannot be written.
    """
    with told_in_one_line(var):
        var.mkdir(parents=True, exist_ok=True)
        var = var.resolve()
        (var / "log").mkdir(mode=0o700, exist_ok=True)
        return var


def read_home(var: Path) -> Home | None:
    """Read what is known about ``var``, and change nothing; None before the first start."""
    with told_in_one_line(var):
        if not (var / STATE_FILE).exists():
            return None
        return _home(var, _read_state(var), _postgres_owner())


def open_home(var: Path) -> Home:
    """Read what is known about ``var``, and make what is missing. Call it under the start lock.

    Raises
    ------
    EmbeddedError
        When it cannot be written, or belongs to somebody else.
    """
    with told_in_one_line(var):
        owner = _postgres_owner()
        # As root, `nobody` has to pass through, to reach its own 0700 directory below.
        var.chmod(0o711 if owner else 0o700)
        if not (var / STATE_FILE).exists():
            _write_state(var, _new_state(var, owner))
        state = _read_state(var)
        return _with_run_dir(_home(var, state, owner), state)


def _home(var: Path, state: dict[str, str], owner: Owner | None) -> Home:
    return Home(
        var=var,
        tag=state["tag"],
        admin_password=state["admin_password"],
        password=state["password"],
        postgres_dir=Path(state["postgres_dir"] or var / "postgres"),
        run_dir=Path(state["run_dir"] or var / "run"),
        owner=owner,
    )


@contextmanager
def told_in_one_line(var: Path) -> Iterator[None]:
    """Turn what the file system refuses into an EmbeddedError."""
    try:
        yield
    except shutil.Error as error:  # of many files copied, the first that failed
        raise EmbeddedError(f"Cannot fill {var}: {error.args[0][0][2]}") from error
    except OSError as error:
        raise EmbeddedError(
            f"Cannot write {error.filename or var}: {error.strerror}. Free some space, give the "
            "directory to this user, or set RECSITE_VAR to another one."
        ) from error


def own(home: Home, path: Path) -> None:
    """Make a directory for PostgreSQL's account alone."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    if home.owner:
        os.chown(path, home.owner.uid, home.owner.gid)


def _new_state(var: Path, owner: Owner | None) -> dict[str, str]:
    if (var / "postgres/data").exists():
        raise EmbeddedError(
            f"{var / STATE_FILE}, which holds the passwords of the database beside it, is gone. "
            f"Restore it from a backup, or remove {var} to start anew."
        )
    return {
        "tag": f"recsite-{secrets.token_hex(6)}",
        "admin_password": secrets.token_urlsafe(24),
        "password": secrets.token_urlsafe(24),
        "postgres_dir": "" if owner is None or _reaches(owner, var) else str(_public_dir()),
        "run_dir": "",
    }


def _read_state(var: Path) -> dict[str, str]:
    path = var / STATE_FILE
    if path.stat().st_uid != os.geteuid():
        raise EmbeddedError(
            f"{var} belongs to {_user_name(path.stat().st_uid)}, and you are "
            f"{_user_name(os.geteuid())}. Run as that user, or set RECSITE_VAR elsewhere."
        )
    try:
        read = json.loads(path.read_text())
        if not isinstance(read, dict) or STATE - read.keys():
            raise ValueError("something is missing in it")
    except ValueError as error:
        raise EmbeddedError(
            f"{path} is damaged: {error}. Restore it from a backup, or remove {var} to start anew."
        ) from error
    return read


def _write_state(var: Path, state: dict[str, str]) -> None:
    """Write the state whole or not at all."""
    handle, name = tempfile.mkstemp(dir=var, prefix=".embedded-")  # 0600
    with os.fdopen(handle, "w") as file:
        json.dump(state, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(var / STATE_FILE)


def _with_run_dir(home: Home, state: dict[str, str]) -> Home:
    """Make the directory of the sockets; a short one elsewhere where the path is too long."""
    too_long = len(os.fsencode(home.run_dir)) + len(LONGEST_SOCKET) > SOCKET_PATH_MAX
    moved = state["run_dir"] and not _is_private(home.run_dir)
    passes = home.owner is None or home.run_dir.parent != home.var or _reaches(home.owner, home.var)
    if too_long or moved or not passes:
        run_dir = Path(tempfile.mkdtemp(prefix="recsite-", dir=_runtime_dir(home.owner)))
        _write_state(home.var, state | {"run_dir": str(run_dir)})
        home = Home(**{**vars(home), "run_dir": run_dir})
    home.run_dir.mkdir(mode=0o700, exist_ok=True)
    home.run_dir.chmod(0o711 if home.owner else 0o700)
    own(home, home.postgres_socket_dir)
    return home


def _is_private(path: Path) -> bool:
    """Tell whether a directory is still there and ours: anybody may write beside it."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.geteuid()
        and not stat.S_IMODE(found.st_mode) & 0o066
    )


def _runtime_dir(owner: Owner | None) -> str:
    candidates = ["/run", "/tmp"] if owner else [os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp"]
    return next(path for path in candidates if path and os.access(path, os.W_OK | os.X_OK))


def _postgres_owner() -> Owner | None:
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise EmbeddedError(
            "PostgreSQL does not run as root, and there is no account `nobody`. "
            "Run as an ordinary user, or set DATABASE_URL."
        ) from error
    return Owner(nobody.pw_uid, nobody.pw_gid)


def _reaches(owner: Owner, path: Path) -> bool:
    """Try whether an account can enter a directory; modes alone do not tell (ACLs, mounts)."""
    tried = subprocess.run(
        ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(path)],
        user=owner.uid,
        group=owner.gid,
        extra_groups=[],
        cwd="/",
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return tried.returncode == 0


def _public_dir() -> Path:
    """Return a new directory that `nobody` can reach, for a ``var`` that it cannot."""
    base = Path("/var/lib/recsite")
    base.mkdir(mode=0o711, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="postgres-", dir=base))


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"
