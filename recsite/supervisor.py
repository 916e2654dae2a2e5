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
TICK = 0.25  # seconds
HEALTH_EVERY = 5.0  # seconds


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
        try:
            _serve(console, address, children, stopping)
        finally:
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


def _serve(console: Console, address: Address, children: Children, stopping: _Stopping) -> None:
    """Start the parts in their order, say when pages answer, and watch."""
    started = time.monotonic()
    children.start(_web(address))
    loaders = [children.start(_loader(slug)) for slug in DEMO_CATALOGS]
    progressing = Progressing(console)
    ready = settled = False
    health_due = started + HEALTH_EVERY
    try:
        while not stopping.asked:
            for line in children.watch():
                console.print(f"  {line}")
            busy = progressing.show()
            if not ready and _pages_answer(address):
                ready = True
                first_start.say_who(console, address)
                console.print(f"ready: {address.url}")
                for child in (_worker("training", 10), _worker("fast", 5), _beat()):
                    children.start(child)
            if not ready and time.monotonic() - started > READY_TIMEOUT:
                raise SetupFault(
                    f"No page answered within {READY_TIMEOUT:.0f} s: see {children.var}/log"
                )
            if ready and not settled and all(loader.ended == 0 for loader in loaders):
                settled = True
                _train_what_has_no_model()
            if time.monotonic() > health_due:
                _mend_services()
                health_due = time.monotonic() + HEALTH_EVERY
            time.sleep(TICK if busy or not ready else 2 * TICK)
    finally:
        progressing.stop()


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


def _mend_services() -> None:
    """Start an embedded service again that died; does nothing where URLs are set."""
    if settings.EMBEDDED:
        from recsite import embedded  # with both URLs set it is not even imported

        embedded.ensure(settings.VAR_DIR)


def _stop_services() -> None:
    """Stop the embedded services now, unless another process still uses them."""
    if settings.EMBEDDED:
        from recsite import embedded  # with both URLs set it is not even imported

        embedded.stop_if_last(settings.VAR_DIR)
