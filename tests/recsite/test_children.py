"""Child processes of the demo: what happens when one dies, and what is left at the end."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from recsite.children import MARK, Child, Children, end_leftovers, python
from recsite.faults import SetupFault

SLEEP = python("-c", "import time; print('up', flush=True); time.sleep(600)")
FAIL = python("-c", "raise SystemExit('the disk is full')")
DEAF = python(
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('up', flush=True); time.sleep(600)",
)
WITH_GRANDCHILD = python(
    "-c",
    "import subprocess, sys, time;"
    "print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True);"
    "time.sleep(600)",
)


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    (tmp_path / "log").mkdir()
    children = Children(tmp_path, os.environ)
    yield children
    children.stop()


def until_it_said(child: Child) -> str:
    for _ in range(1000):
        if child.log.exists() and (said := child.log.read_text().strip()):
            return said
        time.sleep(0.01)
    raise AssertionError(f"{child.name} said nothing")


def until_it_ended(child: Child) -> None:
    assert child.process is not None
    child.process.wait(20)


def test_one_that_died_is_started_again_once_and_says_so(children: Children) -> None:
    child = children.start(Child("web", SLEEP))
    until_it_said(child)
    assert children.watch() == []
    assert child.process is not None
    first = child.process.pid
    os.kill(first, signal.SIGKILL)
    until_it_ended(child)
    (line,) = children.watch()
    assert line.startswith("web ended with status -9")
    assert line.endswith("started again")
    assert child.process.pid != first
    assert child.ended is None


def test_one_that_dies_again_at_once_stops_everything(children: Children) -> None:
    child = children.start(Child("web", FAIL))
    until_it_ended(child)
    assert "the disk is full" in children.watch()[0]
    until_it_ended(child)
    with pytest.raises(SetupFault, match=r"web ended with status 1: the disk is full \(more in"):
        children.watch()


def test_one_that_dies_again_much_later_is_started_again(children: Children) -> None:
    child = children.start(Child("web", FAIL))
    until_it_ended(child)
    children.watch()
    until_it_ended(child)
    child.started_at -= 3600
    assert "started again" in children.watch()[0]


def test_a_loader_that_ends_well_is_let_go_and_one_that_fails_stops_everything(
    children: Children,
) -> None:
    loader = children.start(Child("load", python("-c", ""), once=True))
    until_it_ended(loader)
    assert children.watch() == []
    assert loader not in children.running
    loader = children.start(Child("load", FAIL, once=True))
    until_it_ended(loader)
    with pytest.raises(SetupFault, match="load ended with status 1"):
        children.watch()


def test_stopping_ends_children_their_children_and_the_deaf(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsite.children.STOP_TIMEOUT", 0.5)
    deaf = children.start(Child("deaf", DEAF))
    parent = children.start(Child("parent", WITH_GRANDCHILD))
    grandchild = psutil.Process(int(until_it_said(parent)))
    until_it_said(deaf)
    children.stop()
    assert deaf.ended == -signal.SIGKILL
    assert parent.ended == -signal.SIGTERM
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_leftovers_of_this_var_are_ended_and_of_another_one_spared(tmp_path: Path) -> None:
    ours = subprocess.Popen(["sleep", "600"], env={**os.environ, MARK: str(tmp_path)})
    others = subprocess.Popen(["sleep", "600"], env={**os.environ, MARK: str(tmp_path / "other")})
    try:
        assert end_leftovers(tmp_path) == 1
        assert ours.poll() is not None
        assert others.poll() is None
    finally:
        others.kill()
        others.wait()


def test_logs_are_private_and_a_long_one_is_set_aside(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsite.children.LOG_MAX", 100)
    log = children.var / "log/web.log"
    log.write_text("x" * 200)
    child = children.start(Child("web", SLEEP))
    assert until_it_said(child) == "up"
    assert log.with_suffix(".old").read_text() == "x" * 200
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
