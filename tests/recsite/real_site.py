"""A real site for tests in a browser: its own database and broker, a web process and a worker."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "a-password-of-this-test-only"
PREPARED_WITHIN = 600.0  # seconds, on a busy machine
# All commands in one process: each of its own costs seconds before it does anything.
PREPARE = """
import json
from django.core.management import call_command
for command in json.loads({commands!r}):
    call_command(*command)
"""


@dataclass(frozen=True)
class Site:
    """A running site."""

    address: str

    def health(self, slug: str) -> dict[str, Any]:
        """What the health page says of a catalog."""
        with urlopen(f"{self.address}/api/v1/health", timeout=30) as answer:
            found = json.load(answer)["catalogs"]
        return next(catalog for catalog in found if catalog["slug"] == slug)

    def answers(self) -> bool:
        """Whether the web process is there."""
        try:
            with urlopen(f"{self.address}/api/v1/health", timeout=30):
                return True
        except OSError:
            return False


@contextmanager
def real_site(folder: Path, *prepared_by: tuple[str, ...]) -> Iterator[Site]:
    """A site whose state lies in this folder, after these commands; `boss` is its admin."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DATABASE_URL", "CELERY_BROKER_URL"}
    }
    environment |= {"RECSITE_VAR": str(folder), "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    web = [sys.executable, "-m", "granian", "--interface", "wsgi", "--blocking-threads", "4"]
    web += ["--host", "127.0.0.1", "--port", str(port), "recsite.wsgi:application"]
    worker = [sys.executable, "-m", "celery", "-A", "recsite.celery", "worker"]
    worker += ["--queues", "training,fast", "--concurrency", "2", "--beat"]
    commands = (
        ("migrate", "--verbosity", "0"),
        ("collectstatic", "--noinput", "--verbosity", "0"),
        ("createsuperuser", "--noinput", "--username", "boss", "--email", "boss@example.com"),
        *prepared_by,
    )
    parts: list[subprocess.Popen[bytes]] = []
    try:
        _prepare(environment, commands)
        parts.append(subprocess.Popen(worker, cwd=ROOT, env=environment))
        parts.append(subprocess.Popen(web, cwd=ROOT, env=environment))
        site = Site(f"http://127.0.0.1:{port}")
        wait_until(site.answers, 120)
        yield site
    finally:
        for part in reversed(parts):
            part.terminate()
        for part in parts:
            part.wait(timeout=60)


def wait_until(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.5)


def _prepare(environment: dict[str, str], commands: Sequence[tuple[str, ...]]) -> None:
    script = PREPARE.format(commands=json.dumps(commands))
    subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", script],
        cwd=ROOT,
        env=environment,
        check=True,
        timeout=PREPARED_WITHIN,
    )
