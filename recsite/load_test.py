"""How long a recommendation takes at a steady rate: an open loop against a web process."""

import json
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
from django.conf import settings

from catalog.models import ApiKey, Catalog, Interaction, SlateLog, User
from recsite.api.keys import create_key
from recsite.faults import SetupFault

KEY_NAME = "bench"
START_WITHIN = 120.0  # seconds
TIMEOUT = 10.0  # seconds, one request


@dataclass(frozen=True)
class Load:
    """What was asked and how it went."""

    latencies: list[float]  # ms, from the moment a request was due
    errors: int
    stage_ms: dict[str, float]  # median by stage, from the slate log


@contextmanager
def web_process() -> Iterator[str]:
    """A web process like the demo's on a free port of this machine; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--workers", "1"]
    command += ["--blocking-threads", "4", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--log-level", "error", "recsite.wsgi:application"]
    process = subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/api/v1/health", timeout=TIMEOUT)  # noqa: S310
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SetupFault("The web process did not answer; see what it printed above.")


def known_people(catalog: Catalog, most: int = 500) -> list[str]:
    """External ids of people with a history in this catalog."""
    with_history = Interaction.objects.filter(catalog=catalog).values("user_id")
    people = User.objects.filter(pk__in=with_history, external_id__isnull=False)
    return [
        str(name) for name in people.order_by("pk").values_list("external_id", flat=True)[:most]
    ]


def run(catalog: Catalog, rate: float, seconds: float, warm_up: int = 20) -> Load:
    """Ask for ten recommendations for known people, `rate` times a second."""
    people = known_people(catalog)
    if not people:
        raise SetupFault(f"{catalog.name} has no people with a history: load the demo first.")
    key = create_key(catalog, KEY_NAME)
    began = time.time()
    try:
        with web_process() as address:
            urls = [
                f"{address}/api/v1/recommendations?n=10&user_id={quote(name)}" for name in people
            ]
            draw = random.Random(1)
            for _ in range(warm_up):
                _ask(draw.choice(urls), key)
            load = _open_loop([draw.choice(urls) for _ in range(int(rate * seconds))], key, rate)
    finally:
        ApiKey.objects.filter(catalog=catalog, name=KEY_NAME).delete()
    return Load(load[0], load[1], _stage_medians(catalog, began))


def _ask(url: str, key: str) -> bool:
    request = urllib.request.Request(url, headers={"X-API-Key": key})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            return bool(json.load(answer))
    except OSError:
        return False


def _open_loop(urls: list[str], key: str, rate: float) -> tuple[list[float], int]:
    """Send each request when it is due, whether or not earlier ones have been answered."""
    latencies: list[float] = []
    failures: list[str] = []

    def one(url: str, due: float) -> None:
        if _ask(url, key):
            latencies.append((time.perf_counter() - due) * 1e3)
        else:
            failures.append(url)

    start = time.perf_counter() + 0.1
    threads = []
    for place, url in enumerate(urls):
        due = start + place / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        threads.append(threading.Thread(target=one, args=(url, due)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return latencies, len(failures)


def _stage_medians(catalog: Catalog, since: float) -> dict[str, float]:
    """Median milliseconds of each stage, from the slates that were logged meanwhile."""
    from_then = SlateLog.objects.filter(catalog=catalog, surface="api")
    took: dict[str, list[float]] = {}
    for row in from_then.order_by("-created_at")[:500]:
        if row.created_at.timestamp() < since:
            break
        for stage in row.trace.get("stages", []):
            took.setdefault(stage["name"], []).append(stage["milliseconds"])
    return {name: float(np.median(values)) for name, values in took.items()}
