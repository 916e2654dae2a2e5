"""The demo in one terminal: prepares, starts web, workers and scheduler, and stops them again."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from types import FrameType
from urllib.request import urlopen

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from rich.console import Console

from catalog.models import Catalog
from recsite import first_start
from recsite.address import Address, check_free, read_address
from recsite.children import Child, Children, end_leftovers, python
from recsite.faults import SetupFault
from recsite.progress import Progressing
from training.models import RunState, TrainingRun
from training.runs import create_run

DEMO_CATALOGS = ("news", "shop")
FIRST_PAGES = ("/", "/shop/", "/news/")  # when these answer, the site is ready
READY_TIMEOUT = 300.0  # seconds
TICK = 0.4  # seconds
HEALTH_EVERY = 5.0  # seconds
SICK_ENOUGH = 3  # failed health checks in a row after which everything stops


def run(console: Console) -> None:
    """Run the demo until Ctrl-C or SIGTERM.

    Raises
    ------
    SetupFault
        When it cannot start, or a part of it died twice.
    """
    var: Path = settings.VAR_DIR
    address = read_address(os.environ)
    stopping = _Stopping()
    with alone(var, address):
        if ended := end_leftovers(var):
            console.print(f"  ended {ended} processes that a killed demo had left behind")
        check_free(address)
        console.print(f"Recsite, {settings.DEMO_SCALE} demo: data in {var}, logs in {var / 'log'}")
        first_start.prepare(console)
        children = Children(var, _environment(address))
        progressing = Progressing(console)
        try:
            site = _Site(console, address, children)
            while not stopping.asked:
                site.tick(progressing)
                time.sleep(TICK)
        finally:
            progressing.stop()
            console.print("stopping …")
            children.stop()
            _stop_services()
    console.print("stopped")


@contextmanager
def alone(var: Path, address: Address) -> Iterator[None]:
    """Hold the demo's lock on ``var``; the kernel lets go of it however this process ends.

    Raises
    ------
    SetupFault
        When a demo runs there already; the message says where.
    """
    path = var / "demo.lock"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupFault(f"already running at {lock.read().strip()}") from None
        lock.truncate(0)
        lock.write(f"{address.url} (pid {os.getpid()})")
        lock.flush()
        yield


class _Stopping:
    """Turns Ctrl-C, SIGTERM and a closed terminal into a flag that the loop reads."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


class _Site:
    """The parts of the site while they run, and what is due next."""

    def __init__(self, console: Console, address: Address, children: Children) -> None:
        self.console = console
        self.address = address
        self.children = children
        self.ready = self.settled = False
        self.started = self.looked = time.monotonic()
        self.sick = 0  # health checks that failed in a row
        self.database_away = False
        children.start(_web(address))
        self.loaders = [children.start(_loader(slug)) for slug in DEMO_CATALOGS]

    def tick(self, progressing: Progressing) -> None:
        """Go on and show how far it is; a database that went away is waited for."""
        try:
            self.go_on()
            progressing.show()
        except (OperationalError, InterfaceError):
            connection.close()  # the next look opens a new one
            if not self.database_away:
                self.console.print("  the database is away; pages say so until it is back")
            self.database_away = True
        else:
            if self.database_away:
                self.console.print("  the database is back")
            self.database_away = False

    def go_on(self) -> None:
        """Do what is due: restart, mend, say that pages answer, train.

        Raises
        ------
        SetupFault
            When a part died twice, or no page answers.
        """
        for line in self.children.watch():
            self.console.print(f"  {line}")
        if time.monotonic() - self.looked > HEALTH_EVERY:
            self._look_after_services()
            self.looked = time.monotonic()
        if not self.ready:
            self._get_ready()
        elif not self.settled and all(loader.ended == 0 for loader in self.loaders):
            _train_what_has_no_model()
            self.settled = True

    def _get_ready(self) -> None:
        if _pages_answer(self.address):
            self.ready = True
            first_start.say_who(self.console, self.address)
            self.console.print(f"ready: {self.address.url}")
            for child in (_worker("training", 10), _worker("fast", 5), _beat()):
                self.children.start(child)
        elif time.monotonic() - self.started > READY_TIMEOUT:
            log = self.children.var / "log/web.log"
            raise SetupFault(f"No page answered within {READY_TIMEOUT:.0f} s: see {log}")

    def _look_after_services(self) -> None:
        """Start an embedded service again that died; give up when that fails several times."""
        if not settings.EMBEDDED:
            return
        from recsite import embedded  # with both URLs set it is not even imported

        try:
            embedded.ensure(settings.VAR_DIR)
            self.sick = 0
        except embedded.EmbeddedError as fault:
            self.sick += 1
            if self.sick >= SICK_ENOUGH:
                raise
            self.console.print(f"  {fault}")


def _web(address: Address) -> Child:
    command = python("-m", "granian", "--interface", "wsgi", "--no-ws", "--workers", "1")
    command += ["--blocking-threads", "4", "--host", address.host, "--port", str(address.port)]
    return Child("web", [*command, "recsite.wsgi:application"])


def _loader(slug: str) -> Child:
    """Load a demo catalog, or find in a moment that it is all there."""
    command = python(
        str(settings.BASE_DIR / "manage.py"), "load_demo", slug, "--scale", settings.DEMO_SCALE
    )
    return Child(f"load-{slug}", command, once=True, niceness=5)


def _worker(queue: str, niceness: int) -> Child:
    command = python("-m", "celery", "-A", "recsite.celery", "worker", "--queues", queue)
    slots = "1" if queue == "training" else "4"  # threads that mostly wait for a run's process
    command += ["--hostname", f"{queue}@%h", "--concurrency", slots, "--loglevel", "INFO"]
    command += ["--without-gossip", "--without-mingle"]
    # On SIGTERM the worker hands its runs back to the queue: training/watcher.py.
    return Child(f"worker-{queue}", command, niceness=niceness)


def _beat() -> Child:
    command = python("-m", "celery", "-A", "recsite.celery", "beat", "--loglevel", "INFO")
    return Child("beat", [*command, "--pidfile="])


def _environment(address: Address) -> dict[str, str]:
    defaults = {"ALLOWED_HOSTS": address.allowed_hosts, "OMP_NUM_THREADS": "1"}
    return {**defaults, **os.environ, "RECSITE_VAR": str(settings.VAR_DIR)}


def _pages_answer(address: Address) -> bool:
    for path in FIRST_PAGES:
        try:
            with urlopen(address.url + path, timeout=10) as answer:  # noqa: S310, our own address
                if answer.status != 200:
                    return False
        except (OSError, HTTPException):
            return False
    return True


def _train_what_has_no_model() -> None:
    """Queue the first vectors and the first training of each demo catalog."""
    for catalog in Catalog.objects.filter(slug__in=DEMO_CATALOGS, live_bundle=""):
        for kind in (TrainingRun.Kind.ENCODE, TrainingRun.Kind.TRAIN):
            runs = TrainingRun.objects.filter(catalog=catalog, kind=kind)
            if not runs.exclude(state__in=[RunState.FAILED, RunState.CANCELLED]).exists():
                create_run(catalog, kind)


def _stop_services() -> None:
    """Stop the embedded services now, unless another process still uses them."""
    if settings.EMBEDDED:
        from recsite import embedded  # with both URLs set it is not even imported

        embedded.stop_if_last(settings.VAR_DIR)
