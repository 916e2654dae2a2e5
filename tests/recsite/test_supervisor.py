"""The demo as a person meets it: one command, pages, a second start, Ctrl-C, kill -9."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from unittest.mock import Mock
from urllib.request import urlopen

import psutil
import pytest
from django.db import OperationalError
from django.test import override_settings
from rich.console import Console

from catalog.models import Catalog, LoadState, User
from recsite import first_start, supervisor
from recsite.address import Address
from recsite.children import MARK
from recsite.faults import SetupFault
from recsite.progress import Progressing
from training.models import RunState, TrainingRun

ROOT = Path(__file__).resolve().parents[2]
HERE = Address("127.0.0.1", 8000)


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    with override_settings(VAR_DIR=tmp_path):
        yield tmp_path


@pytest.fixture
def terminal() -> Console:
    """Not a terminal, in truth: a text file."""
    return Console(file=StringIO(), soft_wrap=True, markup=False, highlight=False)


def printed(terminal: Console) -> str:
    assert isinstance(terminal.file, StringIO)
    return terminal.file.getvalue()


def test_the_second_of_two_is_told_where_the_first_one_is(tmp_path: Path) -> None:
    told = rf"already running at http://127\.0\.0\.1:8000 \(pid {os.getpid()}\)"
    with (
        supervisor.alone(tmp_path, HERE),
        pytest.raises(SetupFault, match=told),
        supervisor.alone(tmp_path, HERE),
    ):
        pass
    with supervisor.alone(tmp_path, HERE):  # free again
        pass


@pytest.mark.django_db
def test_the_admin_is_made_once_with_a_password_that_is_told_again(
    var: Path, terminal: Console
) -> None:
    first_start.make_admin()
    first_start.make_admin()
    password = (var / "admin_password").read_text()
    admin = User.objects.get(username="admin")
    assert admin.is_superuser
    assert admin.check_password(password)
    assert stat.S_IMODE((var / "admin_password").stat().st_mode) == 0o600
    first_start.say_who(terminal, HERE)
    assert f"name: admin   password: {password}" in printed(terminal)


@pytest.mark.django_db
def test_a_password_that_was_changed_is_not_told(var: Path, terminal: Console) -> None:
    first_start.make_admin()
    admin = User.objects.get(username="admin")
    admin.set_password("mine now, and long enough")
    admin.save()
    first_start.say_who(terminal, HERE)
    assert (var / "admin_password").read_text() not in printed(terminal)
    assert "password: changed since" in printed(terminal)


@pytest.mark.django_db
def test_progress_tells_each_step_once_where_there_is_no_terminal(terminal: Console) -> None:
    catalog = Catalog.objects.create(slug="shop", name="Larder", item_kind="product")
    load = LoadState.objects.create(catalog=catalog, stage="items", done=10, total=100)
    progressing = Progressing(terminal)
    for load.done in (10, 12, 50, 100):
        load.save()
        assert progressing.show()
    load.finished_at = load.updated_at
    load.save()
    assert not progressing.show()
    assert not progressing.show()
    assert printed(terminal).splitlines() == [
        "  shop: load items 10%",
        "  shop: load items 50%",
        "  shop: load items 100%",
        "  shop: load items: done",
    ]


@pytest.mark.django_db
def test_progress_tells_why_a_run_failed(terminal: Console) -> None:
    catalog = Catalog.objects.create(slug="shop", name="Larder", item_kind="product")
    run = TrainingRun.objects.create(catalog=catalog, kind="train", state=RunState.QUEUED)
    progressing = Progressing(terminal)
    assert progressing.show()
    run.state, run.error, run.ended_at = RunState.FAILED, "Too little data.", run.created_at
    run.save()
    assert not progressing.show()
    assert printed(terminal).endswith("  shop: train: failed: Too little data.\n")


def test_a_database_that_goes_away_is_waited_for(
    terminal: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "connection", Mock())
    site = supervisor._Site(terminal, HERE, Mock())
    monkeypatch.setattr(site, "go_on", lambda: None)
    progressing = Mock()
    progressing.show.side_effect = [OperationalError("gone"), OperationalError("gone"), False]
    for _ in range(3):
        site.tick(progressing)
    assert printed(terminal).splitlines() == [
        "  the database is away; pages say so until it is back",
        "  the database is back",
    ]


class Demo:
    """`manage.py demo` in a process of its own."""

    def __init__(self, var: Path, port: int) -> None:
        self.var = var
        self.log = var.parent / f"demo-{time.monotonic_ns()}.txt"
        kept = {key: value for key, value in os.environ.items() if not key.endswith("_URL")}
        own = {"RECSITE_VAR": str(var), "PORT": str(port), "DEMO_SCALE": "small", "HOST": ""}
        self.environment = kept | own
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "demo"],
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def until(self, pattern: str, timeout: float) -> re.Match[str]:
        """Wait until the terminal shows something."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(pattern, self.log.read_text(), re.MULTILINE):
                return found
            time.sleep(0.1)
        raise AssertionError(f"no {pattern!r} in:\n{self.log.read_text()}")

    def again(self) -> subprocess.CompletedProcess[str]:
        """Start a second one beside it."""
        return subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "demo"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


def marked(var: Path) -> list[psutil.Process]:
    """The child processes of a demo that are alive."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(var):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def demo_var(tmp_path: Path) -> Iterator[Path]:
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o011)
    yield tmp_path / "var"
    shutil.rmtree(tmp_path / "var", ignore_errors=True)


@pytest.mark.slow
def test_the_demo_from_nothing_to_ctrl_c_and_once_more_after_a_kill(demo_var: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    demo = Demo(demo_var, port)
    try:
        ready = demo.until(r"^ready: (http://127\.0\.0\.1:\d+)$", timeout=150)
        for path in ("/", "/shop/", "/news/", "/api/v1/health"):
            with urlopen(ready[1] + path, timeout=30) as answer:
                assert answer.status == 200
        demo.until("password: .{16}$", timeout=1)

        second = demo.again()
        assert second.returncode == 1
        assert second.stderr.strip() == (
            f"recsite: already running at {ready[1]} (pid {demo.process.pid})"
        )

        demo.process.kill()
        demo.process.wait()
        demo = Demo(demo_var, port)
        demo.until(r"left behind$", timeout=150)
        demo.until(r"^ready: ", timeout=150)
        with urlopen(ready[1] + "/api/v1/health", timeout=30) as answer:
            assert json.load(answer)["serving"] is True

        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(60) == 0
        assert demo.log.read_text().endswith("stopped\n")
        assert marked(demo_var) == []
        tag = json.loads((demo_var / "embedded.json").read_text())["tag"]
        assert not [one for one in psutil.process_iter() if tag in " ".join(_command_line(one))]
    finally:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.process.wait(60)


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
